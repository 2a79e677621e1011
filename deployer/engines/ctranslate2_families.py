"""The families of models that CTranslate2's converter knows, and what our server makes of them. Data only; read by
engines.ctranslate2.

From `register_loader` in ctranslate2/converters/transformers.py of the wheel 4.8.5 (a test reads it again from the installed
one). The converter goes by the configuration's class and drops a head that the architecture has and it does not know, so a
classifier would become an encoder without a word: hence the architectures, which are what a person's config.json names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["generator", "encoder", "translator", "whisper"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Family:
    """`config`: the class of transformers that the converter looks for. `kind` None: converted, and not served here."""

    config: str
    kind: Kind | None
    architectures: tuple[str, ...]


def _decoder(config: str, *names: str) -> Family:
    return Family(config, "generator", names)


FAMILIES = (
    _decoder("LlamaConfig", "LlamaForCausalLM"),
    _decoder("MistralConfig", "MistralForCausalLM"),
    _decoder("Qwen2Config", "Qwen2ForCausalLM"),
    _decoder("Qwen3Config", "Qwen3ForCausalLM"),
    _decoder("GemmaConfig", "GemmaForCausalLM"),
    _decoder("Gemma2Config", "Gemma2ForCausalLM"),
    _decoder("Gemma3TextConfig", "Gemma3ForCausalLM"),
    _decoder("Gemma3Config", "Gemma3ForConditionalGeneration"),
    _decoder("Gemma4TextConfig", "Gemma4ForCausalLM"),
    _decoder("Gemma4Config", "Gemma4ForConditionalGeneration"),
    _decoder("Gemma4UnifiedTextConfig", "Gemma4UnifiedForCausalLM"),
    _decoder("Gemma4UnifiedConfig", "Gemma4UnifiedForConditionalGeneration"),
    _decoder("PhiConfig", "PhiForCausalLM"),
    _decoder("Phi3Config", "Phi3ForCausalLM"),
    _decoder("FalconConfig", "FalconForCausalLM"),
    _decoder("RWConfig", "RWForCausalLM"),
    _decoder("MixFormerSequentialConfig", "MixFormerSequentialForCausalLM"),
    _decoder("OPTConfig", "OPTForCausalLM"),
    _decoder("GPT2Config", "GPT2LMHeadModel"),
    _decoder("GPTBigCodeConfig", "GPTBigCodeForCausalLM"),
    _decoder("GPTJConfig", "GPTJForCausalLM"),
    _decoder("GPTNeoXConfig", "GPTNeoXForCausalLM"),
    _decoder("CodeGenConfig", "CodeGenForCausalLM"),
    _decoder("BloomConfig", "BloomForCausalLM"),
    _decoder("MPTConfig", "MPTForCausalLM", "MptForCausalLM"),
    Family("BertConfig", "encoder", ("BertModel", "BertForMaskedLM", "BertForPreTraining")),
    Family("DistilBertConfig", "encoder", ("DistilBertModel", "DistilBertForMaskedLM")),
    Family("RobertaConfig", "encoder", ("RobertaModel", "RobertaForMaskedLM")),
    Family("CamembertConfig", "encoder", ("CamembertModel", "CamembertForMaskedLM")),
    Family("XLMRobertaConfig", "encoder", ("XLMRobertaModel", "XLMRobertaForMaskedLM")),
    Family("MarianConfig", "translator", ("MarianMTModel",)),
    Family("M2M100Config", "translator", ("M2M100ForConditionalGeneration",)),
    Family("MBartConfig", "translator", ("MBartForConditionalGeneration",)),
    Family("T5Config", "translator", ("T5ForConditionalGeneration",)),
    Family("MT5Config", "translator", ("MT5ForConditionalGeneration",)),
    Family("UMT5Config", "translator", ("UMT5ForConditionalGeneration",)),
    Family("T5GemmaConfig", "translator", ("T5GemmaForConditionalGeneration",)),
    Family("T5Gemma2Config", "translator", ("T5Gemma2ForConditionalGeneration",)),
    Family("BartConfig", "translator", ("BartForConditionalGeneration",)),
    Family("PegasusConfig", "translator", ("PegasusForConditionalGeneration",)),
    Family("WhisperConfig", "whisper", ("WhisperForConditionalGeneration",)),
    Family("Wav2Vec2Config", None, ("Wav2Vec2ForCTC",)),
    Family("Wav2Vec2BertConfig", None, ("Wav2Vec2BertForCTC",)),
)
_BY_ARCHITECTURE = {name: family for family in FAMILIES for name in family.architectures}
#: Their requests must say from which language into which.
_MANY_LANGUAGES = ("M2M100Config", "MBartConfig")


def family_of(architectures: Iterable[str]) -> Family | None:
    return next((_BY_ARCHITECTURE[name] for name in architectures if name in _BY_ARCHITECTURE), None)


def needs_languages(family: Family | None) -> bool:
    return family is not None and family.config in _MANY_LANGUAGES


def positions(family: Family | None, context: int | None) -> int | None:
    """Positions that a text may take: RoBERTa and its like count theirs from two."""
    counts_from_two = family is not None and family.config in ("RobertaConfig", "CamembertConfig", "XLMRobertaConfig")
    return context - 2 if counts_from_two and context is not None else context
