"""The only file that touches sam2 (1.1): its network, and its video predictor on arrays in place of files.

The network is the one of the package's own configuration whose sizes the checkpoint has. Where the package is not
installed, `models` says so before anything here is asked.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Mask
from napari_biofm.models.checkpoints import Checkpoint
from napari_biofm.types import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# as the package sets them for video, but for holes, which need its compiled code
_OVERRIDES = (
    "++model.sam_mask_decoder_extra_args.dynamic_multimask_via_stability=true",
    "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.05",
    "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.98",
)


class Frames:
    """Pictures as the predictor wants them, made one at a time when they are asked for.

    Parameters
    ----------
    pictures : (n, Y, X, 3) uint8.
    side : pixels of the square that the network sees.
    """

    def __init__(self, pictures: NDArray[np.uint8], side: int) -> None:
        self.pictures, self.side = pictures, side

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        """Return a picture as (3, side, side) float32."""
        import torch
        from PIL import Image

        picture = Image.fromarray(self.pictures[index]).resize(
            (self.side, self.side)
        )  # as the package does it
        resized = torch.as_tensor(np.asarray(picture) / 255.0).permute(2, 0, 1)
        mean, spread = (torch.tensor(values)[:, None, None] for values in (_MEAN, _SPREAD))
        return (resized.float() - mean) / spread


def build(checkpoint: Checkpoint, device: str, side: int = 1024) -> nn.Module:
    """Build the video predictor that a checkpoint fits, on a device.

    Parameters
    ----------
    checkpoint : of the family "sam2".
    device : "cpu", "cuda" or "mps".
    side : pixels of the square that the network sees; 1024 as it was trained.

    Raises
    ------
    ModelError
        When sam2 is not installed, or the tensors do not fit.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sam2.build_sam import build_sam2_video_predictor
    except ImportError as error:
        raise ModelError(f"SAM 2 needs the package sam2 ({error}): pip install sam2") from error
    folder = checkpoint.architecture.split("_")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of hydra about itself
            net = build_sam2_video_predictor(
                f"configs/{folder}/{checkpoint.architecture}.yaml",
                device="cpu",
                apply_postprocessing=False,
                hydra_overrides_extra=[*_OVERRIDES, f"++model.image_size={side}"],
            )
        net.load_state_dict({key: value.float() for key, value in checkpoint.state.items()}, strict=True)
    except Exception as error:  # hydra and torch raise many kinds
        detail = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{checkpoint.path} ({checkpoint.architecture}) does not fit the installed sam2: {detail}"
        ) from error
    # memories are kept in bfloat16, which the attention takes under autocast only
    net.memory_attention.register_forward_pre_hook(_in_float32, with_kwargs=True)
    built: nn.Module = net.to(device).eval()
    return built


def track(
    net: nn.Module, pictures: NDArray[np.uint8], masks: Mapping[int, Mask]
) -> Generator[tuple[int, dict[int, NDArray[np.float32]]], None, None]:
    """Follow objects of picture 0 through the others; yields each index with the logits (Y, X) by id.

    Parameters
    ----------
    net : of `build`.
    pictures : (n, Y, X, 3) uint8, in the order they are gone through.
    masks : (Y, X) of the objects in picture 0, by id.
    """
    predictor = cast(Any, net)
    with _arrays_for_files():
        state = predictor.init_state(Frames(pictures, predictor.image_size))
    for label, mask in masks.items():
        predictor.add_new_mask(state, 0, label, np.ascontiguousarray(mask, bool))
    kept = max(predictor.num_maskmem, predictor.max_obj_ptrs_in_encoder)
    for index, labels, logits in predictor.propagate_in_video(state, start_frame_idx=0):
        forget_before(state, index - kept)
        found = logits[:, 0].float().cpu().numpy()
        yield int(index), {int(label): plane for label, plane in zip(labels, found, strict=True)}


def forget_before(state: Mapping[str, Any], first: int) -> None:
    """Let go of what the network no longer looks at, so that memory does not grow with the number of pictures.

    Parameters
    ----------
    state : of the predictor.
    first : index of the first picture whose memory stays.
    """
    for part in state["output_dict_per_obj"].values():
        for index in [k for k in part["non_cond_frame_outputs"] if k < first]:
            del part["non_cond_frame_outputs"][index]


@contextmanager
def _arrays_for_files() -> Iterator[None]:
    """Let the predictor take `Frames` where it reads files, and show no progress bars of its own."""
    from sam2 import sam2_video_predictor as module

    former = module.load_video_frames
    module.tqdm = lambda pictures, **_: pictures
    module.load_video_frames = lambda video_path, **_: (video_path, *video_path.pictures.shape[1:3])
    try:
        yield
    finally:
        module.load_video_frames = former


def _in_float32(_module: Any, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(plain(one) for one in value)
        return value.float() if hasattr(value, "is_floating_point") and value.is_floating_point() else value

    return plain(args), {key: plain(value) for key, value in given.items()}
