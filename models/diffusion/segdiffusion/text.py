"""Encoding of prompts into the tokens that the denoiser attends to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from limelight.foundation.errors import UserError
from limelight.models.diffusion.configs import Config
from limelight.models.diffusion.folder import BASE_FOLDER_HINT, read_text

CACHED_PROMPTS = 1024
"""Prompts whose tokens are cached; 323 MB for Stable Diffusion 2."""
PROMPTS_AT_ONCE = 64
"""Prompts that are encoded together, which bounds the memory of a long list of classes."""
TOKENIZER = "tokenizer"
_COMPUTED = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("max_position_embeddings", "hidden_act", "layer_norm_eps", "attention_dropout"),
)
"""Settings that the tokens depend on; not the marks' numbers, which only the pooled output does."""


class PromptEncoder(nn.Module):
    """`forward(prompts) -> prompt_KTC`, one row per prompt, T positions of the encoder's last hidden state.

    Prompts are padded to T with the tokenizer's padding, which the denoiser attends to as well, as Stable Diffusion's
    does. Encoded prompts are cached until `train` or `eval` is called, except with gradients of a trained encoder.

    Args:
        model: CLIP's text encoder.
        tokenizer: its tokenizer; None where there is none, so that nothing can be encoded.
        trained: whether the encoder is trained too. A frozen one stays in evaluation mode.
        padded: padding tokens keep the encoder's output; otherwise they are zeros, so that they do not drown the few
            that tell one prompt from another.
    """

    def __init__(
        self, model: CLIPTextModel, tokenizer: CLIPTokenizer | None, *, trained: bool, padded: bool = True
    ) -> None:
        super().__init__()
        self.padded = padded
        self.model = model.requires_grad_(trained)
        self.tokenizer = tokenizer
        self.trained = trained
        self._kept: dict[str, Tensor] = {}

    @property
    def width(self) -> int:
        """C of the tokens."""
        return self.model.config.hidden_size

    @property
    def length(self) -> int:
        """T, the positions of a prompt with the marks at its ends."""
        return self.model.config.max_position_embeddings

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if not self.trained:
            self.model.eval()
        self._kept.clear()  # the weights may have changed
        return self

    def forward(self, prompts: Sequence[str]) -> Tensor:
        """The tokens prompt_KTC, float32, of K prompts.

        Raises:
            UserError: no prompt, one that is too long (it is named), or there is no tokenizer.
        """
        if not prompts:
            raise UserError("no prompts were given; give at least one text, such as 'a photo of a cat'")
        different = list(dict.fromkeys(prompts))
        if self.trained and torch.is_grad_enabled():
            tokens_NTC = self._encode(different)
        else:
            tokens_NTC = self._remembered(different)
        rows = [different.index(prompt) for prompt in prompts]
        return tokens_NTC if rows == list(range(len(different))) else tokens_NTC[rows]

    def ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each prompt, padded to T.

        Raises:
            UserError: a prompt is too long, or there is no tokenizer.
        """
        if self.tokenizer is None:
            raise UserError(
                f"this network has no tokenizer, so it cannot read text prompts; {BASE_FOLDER_HINT} as `pretrained`"
            )
        token_ids = self.tokenizer(list(prompts), verbose=False)["input_ids"]
        for prompt, ids in zip(prompts, token_ids, strict=True):
            if len(ids) > self.length:
                raise UserError(
                    f"the prompt {_shortened(prompt)!r} has {len(ids)} tokens with its start and end marks, the text "
                    f"encoder takes at most {self.length}; shorten it"
                )
        # Padded by hand: the tokenizer would remember its padding settings, and write them into its files.
        return [ids + [self.tokenizer.pad_token_id] * (self.length - len(ids)) for ids in token_ids]

    def _remembered(self, prompts: Sequence[str]) -> Tensor:
        new = [prompt for prompt in prompts if prompt not in self._kept]
        if new:
            if len(self._kept) + len(new) > CACHED_PROMPTS:
                self._kept.clear()
                new = list(prompts)
            with torch.no_grad():
                self._kept.update(zip(new, self._encode(new).unbind(), strict=True))
        device = next(self.model.parameters()).device
        return torch.stack([self._kept[prompt] for prompt in prompts]).to(device)

    def _encode(self, prompts: Sequence[str]) -> Tensor:
        device = next(self.model.parameters()).device
        ids = self.ids(prompts)
        pieces = torch.tensor(ids, device=device).split(PROMPTS_AT_ONCE)
        hidden_KTC = torch.cat([self.model(input_ids=piece_KT).last_hidden_state.float() for piece_KT in pieces])
        if self.padded:
            return hidden_KTC
        # The mark at the end, which is the padding too, counts once.
        end = self.model.config.eos_token_id if self.tokenizer is None else self.tokenizer.eos_token_id
        lengths_K = [row.index(end) + 1 for row in ids]
        places_T = torch.arange(self.length, device=device)
        return hidden_KTC * (places_T < torch.tensor(lengths_K, device=device)[:, None])[..., None]


def build_text(config: Config, *, distinct: bool = False) -> CLIPTextModel:
    """CLIP's text encoder with random weights.

    Args:
        distinct: initialise word embeddings as far apart as activations are large, so that each word affects a denoiser
            that is trained along; CLIP's own start fifty times closer together.
    """
    model = CLIPTextModel(CLIPTextConfig(**config))
    if distinct:
        nn.init.normal_(model.embeddings.token_embedding.weight)
    return model


def read_same_text(folder: Path | str, expected: Config) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """A base folder's text encoder and tokenizer, if they match a network's options or, without one, the default.

    Raises:
        UserError: see `limelight.models.diffusion.folder.read_text`, or a setting that differs.
    """
    model, tokenizer = read_text(folder)
    defaults = CLIPTextConfig()
    for key, value in ({key: getattr(defaults, key) for key in _COMPUTED} | expected).items():
        actual = getattr(model.config, key, None)
        if actual != value:
            raise UserError(
                f"{folder}/text_encoder has {key} {actual}, the network's options say {value}; give the settings of "
                "its config.json as the option `text`"
            )
    return model, tokenizer


def read_tokenizer(assets: Path | str) -> CLIPTokenizer:
    """Read the tokenizer of a weights folder.

    Raises:
        UserError: it is missing or damaged.
    """
    folder = Path(assets) / TOKENIZER
    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the reader has no common exception class for bad files
        line = str(error).strip().partition("\n")[0]
        raise UserError(f"{folder} cannot be read: {line}; restore the weights folder") from error


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= 60 else prompt[:57] + "..."
