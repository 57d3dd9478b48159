//! Text to token ids, cut to a length where asked, as Hugging Face's `truncation=True, max_length=n` does it.

use std::path::Path;

use tokenizers::{PostProcessor, Tokenizer, TruncationDirection};

use crate::failure::Failure;

/// A loaded `tokenizer.json`. Immutable, so threads may share it.
pub struct Encoder {
    tokenizer: Tokenizer,
    /// How many tokens the post-processor adds to a single text, [CLS] and [SEP] for BERT.
    num_special_tokens: usize,
    /// Which end an over-long text loses: the file's choice where it has one.
    direction: TruncationDirection,
    vocab_size: i32,
}

pub struct Tokens {
    pub ids: Vec<i32>,
    pub type_ids: Vec<i32>,
}

impl Encoder {
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|error| Failure::from_io(path, &error))?;
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| {
            Failure::invalid(format!(
                "{} is not a tokenizer.json that Hugging Face tokenizers can read: {error}",
                path.display()
            ))
        })?;
        let direction = tokenizer
            .get_truncation()
            .map_or(TruncationDirection::Right, |truncation| truncation.direction);
        // A published file often stores what its authors last used, 128 tokens padded to 128 for all-MiniLM-L6-v2.
        // How long a text may be is the request's and the model's affair.
        tokenizer
            .with_truncation(None)
            .map_err(|error| Failure::internal(format!("truncation cannot be switched off: {error}")))?
            .with_padding(None);
        let largest_id = tokenizer.get_vocab(true).into_values().max();
        let vocab_size = match largest_id {
            None => 0,
            Some(id) => i32::try_from(u64::from(id) + 1).map_err(|_| {
                Failure::invalid(format!(
                    "{} has token id {id}; expected ids below {}",
                    path.display(),
                    i32::MAX
                ))
            })?,
        };
        let num_special_tokens = tokenizer
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(false));
        Ok(Self { tokenizer, num_special_tokens, direction, vocab_size })
    }

    pub fn vocab_size(&self) -> i32 {
        self.vocab_size
    }

    /// Encodes `text` with its special tokens into at most `max_tokens` ids.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Tokens, Failure> {
        if max_tokens < self.num_special_tokens {
            return Err(Failure::invalid(format!(
                "a text cannot be cut to {max_tokens} tokens: this tokenizer adds {} special tokens to each text",
                self.num_special_tokens
            )));
        }
        // The library's own truncation is a setting of the whole tokenizer. Its three steps, taken one by one, give
        // the same ids without a lock or a copy of the vocabulary for each call.
        let failed = |error| Failure::invalid(format!("the text cannot be tokenized: {error}"));
        let mut encoding = self.tokenizer.encode_fast(text, false).map_err(failed)?;
        encoding.truncate(max_tokens - self.num_special_tokens, 0, self.direction);
        encoding.take_overflowing(); // what was cut off would be post-processed too
        let encoding = self.tokenizer.post_process(encoding, None, true).map_err(failed)?;
        Ok(Tokens {
            ids: to_i32(encoding.get_ids())?,
            type_ids: to_i32(encoding.get_type_ids())?,
        })
    }
}

fn to_i32(values: &[u32]) -> Result<Vec<i32>, Failure> {
    values
        .iter()
        .map(|&value| {
            i32::try_from(value).map_err(|_| {
                Failure::invalid(format!(
                    "the tokenizer gave {value} as a token or type id; expected at most {}",
                    i32::MAX
                ))
            })
        })
        .collect()
}
