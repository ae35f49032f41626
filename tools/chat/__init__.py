"""The one door to chat models: any `init_chat_model` name, Ollama looked at first; nothing heavy at import."""

from hopline.tools.chat.door import open_chat
from hopline.tools.chat.message import Message
from hopline.tools.chat.model import ChatModel, Reply, Settings
from hopline.tools.chat.structured import Structured, ask_structured

__all__ = ["ChatModel", "Message", "Reply", "Settings", "Structured", "ask_structured", "open_chat"]
