"""The choices of the shelf memory, one parameter each, in physical terms."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0.0, le=86400.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Similarity = Annotated[float, Field(ge=-1.0, le=1.0)]


class SlotSettings(BaseModel):
    """How a fixed camera's shelf is remembered. Times are of the frames, never of the machine.

    Attributes:
        compare_width_px: width at which frames are compared with the shelf as it was; details
            smaller than a few of these pixels cannot be seen to change.
        calm_s: how long a place must be still before anything about it is decided.
        learn_s: a picture seen for the first time, or after the camera moved, is learned for so long
            before a difference counts.
        motion_levels: difference of a frame to those before, in grey levels after the light is taken
            out, above which something moves.
        change_levels: lasting difference, in grey levels of the present light, above which a place
            looks changed.
        noise_factor: the same as a multiple of the place's own noise and of the picture's present one
            (of the sensor, and of compression); the largest holds.
        noise_levels_max: lasting difference of the whole picture from how it was, in grey levels, up
            to which it can be noise.
        new_place_share: part of a detection without a slot that must look changed before it counts
            as a product that was put there, and not as one that was missed before.
        replaced_levels: contrast, in grey levels, of the strongest changed spot of a facing from
            which it is another product although the gallery gives the same answer for both (variants
            may differ in one word).
        replaced_noise: the same as a multiple of the noise there; the larger of both holds.
        coded_contrast: times that contrast it takes in a stream so compressed that key frames show,
            where the SKU is the same and the similarity at least ``alike_similarity``.
        alike_similarity: cosine similarity from which two looks can be one but for compression.
        same_similarity: cosine similarity to the slot's own earlier embeddings above which a facing
            whose SKU did not change is taken for the same product.
        absent_share: part of a facing that must look changed before a product that is no longer
            detected is taken for gone.
        phantom_similarity: cosine similarity to the nearest product of the gallery below which a
            detection is taken for a piece of empty shelf, which is no facing, unless the detector
            is sure of it.
        phantom_confidence: confidence from which it is.
        associate_iou: overlap from which a detection and a slot are the same place.
        votes: embeddings a change is judged by, and a slot's identity rests on unless fewer are enough.
        suspects_max: changed facings that are embedded in one frame; more wait for the next ones, those
            that changed first come first.
        sure_margin: distance of an answer, in cosine of similarity or margin, from where it would be
            another, from which one embedding is enough; for n of them it is less by the root of n. A
            single one strays by about a third of it.
        doubt_s: as long as the answers of some slots are nearer than that, one of them is embedded
            again in each such time, in turn.
        doubt_votes: embeddings a slot's identity rests on at last, however near it is to another;
            at most ``votes_max``.
        confirm_light: brightness, as a part of that in which a facing was embedded before, from which
            an embedding counts for one that looks unchanged; in less light noise is larger against
            the print, and its answer stays.
        votes_max: embeddings that are remembered; older ones fade.
        refresh_s: each unchanged slot is embedded again once in this time.
        refresh_share: part of all slots that may be embedded again in one frame without a change.
        detect_s: the detector runs again after this time although nothing changed.
        present_share: part of the looks at a slot in which the detector must find it before it
            counts.
        gap_after_s: an empty slot becomes a gap after this time.
        forget_after_s: an empty slot is forgotten after this time.
        occluder_facings: a changed area larger than so many facings may be somebody in front.
        occluder_outside_share: part of such an area that lies outside all slots, on rails and
            boards, from which it is.
        occluder_margin: distance from somebody in front, in facings, within which nothing is
            decided: edges of a body are soft.
        hidden_share: part of a slot that must be covered before it counts as hidden.
        occluded_max_s: what stands still in front of the shelf for longer is part of the scene.
        nudge_share: part of the picture that must look changed before a shift of the whole picture
            is looked for.
        nudge_px: shift, in frame pixels, from which the camera counts as moved and an event says so;
            a smaller one is followed silently.
        moved_share: part of the picture that must look changed, without a shift that explains it,
            before the view counts as another.
        reset_after_s: how long another view must stand still, with products in it, before the slots
            are given up.
        least_light: brightness, as a part of the reference's, below which nothing is decided.
        longest_step_s: two frames are never taken to be further apart, so that a clock that jumps
            does not age the shelf.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    compare_width_px: Annotated[int, Field(ge=64, le=1920)] = 960
    calm_s: Seconds = 0.6
    learn_s: Annotated[float, Field(ge=0.0, le=3600.0)] = 2.0
    motion_levels: Annotated[float, Field(gt=0.0, le=255.0)] = 7.0
    change_levels: Annotated[float, Field(gt=0.0, le=255.0)] = 5.5
    noise_factor: Annotated[float, Field(gt=0.0)] = 2.5
    noise_levels_max: Annotated[float, Field(ge=0.0, le=255.0)] = 8.0
    new_place_share: Share = 0.25
    replaced_levels: Annotated[float, Field(gt=0.0, le=255.0)] = 7.0
    replaced_noise: Annotated[float, Field(ge=0.0)] = 4.0
    coded_contrast: Annotated[float, Field(ge=1.0)] = 2.0
    alike_similarity: Similarity = 0.98
    same_similarity: Similarity = 0.95
    absent_share: Share = 0.4
    phantom_similarity: Similarity = 0.45
    phantom_confidence: Share = 0.65
    associate_iou: Share = 0.5
    votes: Annotated[int, Field(ge=1, le=50)] = 3
    suspects_max: Annotated[int, Field(ge=1, le=10000)] = 8
    sure_margin: Annotated[float, Field(ge=0.0, le=2.0)] = 0.06
    doubt_s: Seconds = 0.4
    doubt_votes: Annotated[int, Field(ge=1, le=1000)] = 10
    confirm_light: Share = 0.9
    votes_max: Annotated[int, Field(ge=1, le=1000)] = 10
    refresh_s: Seconds = 1800.0
    refresh_share: Share = 0.02
    detect_s: Seconds = 60.0
    present_share: Share = 0.5
    gap_after_s: Seconds = 60.0
    forget_after_s: Seconds = 86400.0
    occluder_facings: Annotated[float, Field(gt=0.0)] = 3.0
    occluder_outside_share: Share = 0.2
    occluder_margin: Annotated[float, Field(ge=0.0)] = 0.5
    hidden_share: Share = 0.3
    occluded_max_s: Seconds = 600.0
    nudge_share: Share = 0.03
    nudge_px: Annotated[float, Field(gt=0.0)] = 1.0
    moved_share: Share = 0.5
    reset_after_s: Seconds = 10.0
    least_light: Share = 0.2
    longest_step_s: Seconds = 3600.0
