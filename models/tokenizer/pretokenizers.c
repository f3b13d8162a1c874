/* Pre-tokenizers: values of tokenizer.ggml.pre and the patterns each stands for.
 *
 * The patterns are those of the models' own tokenizer files as llama.cpp reads them (where the two differ, as in
 * gpt-4o and tekken, which it reads with ASCII capitals only, we follow llama.cpp: its files are what we are given). */
#include "split.h"

#define WS SPLIT_SPACES
#define WS_TAIL "[" WS "]+(?![^" WS "])" /* white space, but for the last one before a word */
#define DIGIT "\\p{N}"
#define ENDINGS "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"

/* GPT-2: words and numbers with the space in front of them. */
#define GPT2 "'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" WS_TAIL
/* Llama 3 and its kin: a word takes any one character in front; numbers are cut at `digits`; runs end at newlines. */
#define NEWLINES "[" WS "]*[\\r\\n]+|" WS_TAIL "|[" WS "]+"
#define LLAMA3(letters, digits, symbols, newlines)                                                                     \
    ENDINGS "|[^\\r\\n\\p{L}\\p{N}]?" letters "+|" digits "| ?" symbols "|" newlines
#define SYMBOLS "[^" WS "\\p{L}\\p{N}]+[\\r\\n]*"
/* Capitals, then small letters: [^\P{L}a-z] are the letters but a-z. */
#define CASED(ending) CASED_WORD "*[^\\P{L}A-Z]+" ending "|" CASED_WORD "+[^\\P{L}A-Z]*" ending
#define CASED_WORD "[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}a-z]"
#define CASED_REST "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n/]*|" NEWLINES

/* U+0800 to U+9FA5 but for white space, and Hangul. */
#define CJK                                                                                                            \
    "[\\x{800}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}"                  \
    "\\x{2060}-\\x{2FFF}\\x{3001}-\\x{9FA5}\\x{AC00}-\\x{D7FF}]+"

/* The cased letters of the scripts DeepSeek lists. */
#define CASED_LETTERS                                                                                                  \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}"                    \
    "\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}"             \
    "\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}"                    \
    "\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"                  \
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}"                  \
    "\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}"                             \
    "\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}"                            \
    "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}"                  \
    "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}"                    \
    "\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}"                             \
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"                             \
    "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"                   \
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}"                  \
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}"                                 \
    "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}"                             \
    "\\x{1E900}-\\x{1E943}"

#define RULES(name, ...) static const char *const name[] = {__VA_ARGS__, NULL}

RULES(gpt2, GPT2);
RULES(fallback, "[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]");
RULES(falcon, "[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]");
RULES(starcoder, DIGIT, GPT2);
RULES(llama3, LLAMA3("\\p{L}", "\\p{N}{1,3}", SYMBOLS, NEWLINES));
RULES(qwen2, LLAMA3("\\p{L}", DIGIT, SYMBOLS, NEWLINES));
RULES(qwen35, LLAMA3("[\\p{L}\\p{M}]", DIGIT, "[^" WS "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*", NEWLINES));
RULES(seed_coder, LLAMA3("\\p{L}", DIGIT, "[^" WS "\\p{L}\\p{N}]+", NEWLINES));
RULES(bailing, LLAMA3("\\p{L}", DIGIT, SYMBOLS, "[" WS "]*[\\r\\n]|" WS_TAIL "|[" WS "]+"));
RULES(gpt4o, CASED("(?:" ENDINGS ")?") "|\\p{N}{1,3}" CASED_REST);
RULES(tekken, CASED("") "|" DIGIT CASED_REST);
RULES(deepseek_coder, "[\\r\\n]", "[" WS "]?\\p{L}+", "[" WS "]?\\p{P}+", CJK, DIGIT);
/* Punctuation leaves U+3000 out: it counts as white space. The tail's look-behind spares a retry at each blank. */
RULES(deepseek_llm, "[\\r\\n]", "[" WS "]?[" CASED_LETTERS "]+",
      "[" WS "]?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3001}-\\x{3002}]+",
      "(?<![" WS "])[" WS "]++$", CJK, "\\p{N}+");
RULES(deepseek_v3, "\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
      "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" NEWLINES);
#define BLOOM " ?[^(" WS "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"
RULES(bloom, BLOOM);
RULES(viking, BLOOM, DIGIT);
RULES(chameleon, "<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  ", DIGIT, "[\\p{P}!-/:-@\\[-`{-~]", GPT2);

const struct pretokenizer pretokenizers[] = {
    {"default", fallback, 0},
    {"gpt-2", gpt2, 0},
    {"llama-bpe", llama3, PRE_WHOLE_WORDS | PRE_BOS},
    {"starcoder", starcoder, 0},
    {"refact", starcoder, 0},
    {"qwen2", qwen2, 0},
    {"deepseek-coder", deepseek_coder, 0},
    {"deepseek-llm", deepseek_llm, 0},
    {"deepseek-v3", deepseek_v3, 0},
    {"falcon", falcon, 0},
    {"mpt", gpt2, 0},
    {"olmo", gpt2, 0},
    {"dbrx", llama3, 0},
    {"smaug-bpe", llama3, 0},
    {"command-r", starcoder, 0},
    {"smollm", starcoder, 0},
    {"codeshell", starcoder, 0},
    {"exaone", starcoder, 0},
    {"stablelm2", qwen2, 0},
    {"chatglm-bpe", llama3, 0},
    {"tekken", tekken, PRE_WHOLE_WORDS | PRE_BOS},
    {"gpt-4o", gpt4o, 0},
    {"qwen35", qwen35, 0},
    {"seed-coder", seed_coder, 0},
    {"bailingmoe", bailing, 0},
    {"bloom", bloom, 0},
    {"viking", viking, 0},
    {"poro-chat", bloom, 0},
    {"chameleon", chameleon, PRE_BOS},
    {"llama3", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"llama-v3", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"falcon3", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"falcon-h1", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"pixtral", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"midm-2.0", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"lfm2", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"jina-v5-nano", llama3, PRE_WHOLE_WORDS | PRE_BOS | PRE_ALIAS},
    {"glm4", llama3, PRE_ALIAS},
    {"phi-2", gpt2, PRE_ALIAS},
    {"jina-es", gpt2, PRE_ALIAS},
    {"jina-de", gpt2, PRE_ALIAS},
    {"jina-v2-es", gpt2, PRE_ALIAS},
    {"jina-v2-de", gpt2, PRE_ALIAS},
    {"jina-v1-en", gpt2, PRE_ALIAS},
    {"jina-v2-code", gpt2, PRE_ALIAS},
    {"roberta-bpe", gpt2, PRE_ALIAS},
    {"gigachat", gpt2, PRE_ALIAS},
    {"a.x-4.0", gpt2, PRE_ALIAS},
    {"mellum", gpt2, PRE_ALIAS},
    {"modern-bert", gpt2, PRE_ALIAS},
    {"exaone4", gpt2, PRE_ALIAS},
    {"jais", gpt2, PRE_ALIAS},
    {"trillion", gpt2, PRE_ALIAS},
    {"granite-docling", gpt2, PRE_ALIAS},
    {"minerva-7b", starcoder, PRE_ALIAS},
    {"deepseek-r1-qwen", qwen2, PRE_ALIAS},
    {"kormo", qwen2, PRE_ALIAS},
    {"f2llmv2", qwen2, PRE_ALIAS},
    {"megrez", qwen2, PRE_ALIAS},
    {"hunyuan", qwen2, PRE_ALIAS},
    {"solar-open", qwen2, PRE_ALIAS},
    {"grok-2", qwen2, PRE_ALIAS},
    {"hunyuan-dense", deepseek_v3, PRE_ALIAS},
    {"joyai-llm", deepseek_v3, PRE_ALIAS},
    {"llama4", gpt4o, PRE_ALIAS},
    {"kanana2", gpt4o, PRE_ALIAS},
    {"minimax-m2", gpt4o, PRE_ALIAS},
    {"bailingmoe2", bailing, PRE_ALIAS},
    {"llada-moe", bailing, PRE_ALIAS},
    {"gpt3-finnish", bloom, PRE_ALIAS},
    {NULL, NULL, 0},
};
