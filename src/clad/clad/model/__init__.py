"""CLaD in torch: latent dynamics (stage 1), diffusion policy (stage 2), losses, configs."""
