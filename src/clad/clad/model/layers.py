"""The blocks that both stages are made of."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def mlp(inputs: int, hidden: int, outputs: int, dropout: float = 0.0) -> nn.Sequential:
    """Two layers with a normalised hidden one."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
    )


class Film(nn.Module):
    """FiLM(x ; c) = gamma(c) * x + beta(c), element by element. Starts as x itself."""

    def __init__(self, condition: int, features: int) -> None:
        super().__init__()
        self.gamma = nn.Linear(condition, features)
        self.beta = nn.Linear(condition, features)
        for layer in (self.gamma, self.beta):
            nn.init.zeros_(layer.weight)
        nn.init.ones_(self.gamma.bias)
        nn.init.zeros_(self.beta.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return self.gamma(condition) * x + self.beta(condition)


class ResidualMlp(nn.Module):
    """x + MLP(norm(x)), the feed-forward half of a transformer layer and the whole of an MLP-ResNet block."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.dropout(F.gelu(self.up(self.norm(x)))))


class CrossAttention(nn.Module):
    """Pre-norm multi-head attention, residual on the query, then a feed-forward block.

    forward: query (B, Q, d), context (B, K, d) -> (B, Q, d). Self-attention when both are the same.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.feed_forward = ResidualMlp(width)

    def forward(self, query: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        normed = self.norm_context(context)
        parts = (self.query(self.norm_query(query)), self.key(normed), self.value(normed))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.feed_forward(query + self.out(attended))
