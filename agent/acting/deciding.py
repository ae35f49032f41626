"""The profile's chat model: it plans, or decides hop by hop."""

from __future__ import annotations

from dataclasses import dataclass

from hopline.agent.running.profile import Profile
from hopline.tools.chat.door import open_chat
from hopline.tools.chat.model import ChatModel
from hopline.tools.errors import BadPlan, MissingModel


@dataclass(frozen=True, kw_only=True, slots=True)
class HopByHop:
    """Instead of a plan: a model that decides each step when it knows how the last one ended."""

    model: ChatModel


def hop_by_hop(profile: Profile) -> HopByHop:
    """A run that the profile's chat model decides.

    Raises:
        Unavailable, BadPlan: see `chat_model`.
    """
    return HopByHop(model=chat_model(profile))


def chat_model(profile: Profile) -> ChatModel:
    """The chat model of a profile, looked at.

    Raises:
        Unavailable: the profile names none, or it is not there; says what brings it.
        BadPlan: what it is told leaves this machine, and the profile does not allow that.
    """
    if not profile.chat:
        raise MissingModel(
            f"this needs a chat model, and the profile {profile.name!r} names none.",
            hint='Use --profile local, or write one into a profile of your own: chat = "ollama:qwen2.5".',
        )
    model = open_chat(profile.chat)
    if model.remote and not profile.remote:
        raise BadPlan(f"{model.name} is told things elsewhere, and the profile {profile.name!r} forbids it.")
    return model
