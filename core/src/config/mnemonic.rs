//! The mnemonic: English BIP 39 words with a good checksum, and errors that help without showing a single word.
//!
//! Only whitespace is forgiven (around and between the words: environment variables end in newlines), because it can't
//! change the words. Capitals or quotation marks are refused with a hint instead of being repaired: what else happened to
//! such a text is anyone's guess, and a wrong mnemonic is another, empty wallet.

use super::shown::QUOTES;
use bip39::Language;
use std::fmt;

/// A mnemonic with a good checksum; its `Debug` shows nothing.
#[derive(Clone)]
pub struct Mnemonic(pub(crate) bip39::Mnemonic);

impl Mnemonic {
    /// Reads a mnemonic of 12, 15, 18, 21 or 24 words, or says what is wrong: which word by its place, never the word.
    pub fn parse(text: &str) -> Result<Mnemonic, String> {
        let count = text.split_whitespace().count();
        bip39::Mnemonic::parse_in_normalized(Language::English, text).map(Mnemonic).map_err(|error| {
            let what = match error {
                bip39::Error::BadWordCount(0) => "the mnemonic is empty; 12, 15, 18, 21 or 24 words are valid".to_owned(),
                bip39::Error::BadWordCount(count) => {
                    let s = if count == 1 { "" } else { "s" };
                    format!("the mnemonic has {count} word{s}; 12, 15, 18, 21 or 24 are valid")
                }
                bip39::Error::UnknownWord(index) => {
                    format!("word {} of {count} of the mnemonic is not in the English BIP 39 list", index.saturating_add(1))
                }
                bip39::Error::InvalidChecksum => {
                    "the mnemonic's checksum does not match: every word is in the list, but a word is wrong or two changed places"
                        .to_owned()
                }
                bip39::Error::BadEntropyBitCount(_) | bip39::Error::AmbiguousLanguages(_) => {
                    "the mnemonic is not valid BIP 39".to_owned()
                }
            };
            format!("{what}{}", hint(text))
        })
    }
}

/// What usually happened to a text that looks like this one.
fn hint(text: &str) -> &'static str {
    if text.trim().starts_with(QUOTES) || text.trim().ends_with(QUOTES) {
        "; remove the quotation marks around it"
    } else if text.contains(',') {
        "; separate the words by spaces, not commas"
    } else if text.contains(|c: char| c.is_ascii_digit()) {
        "; leave out the numbers"
    } else if text.contains(char::is_uppercase) {
        "; the words are lower case"
    } else if text.contains(|c: char| !c.is_ascii() || (c.is_control() && !c.is_whitespace())) {
        "; it has characters outside plain a–z: type it instead of copying it"
    } else {
        ""
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mnemonic(hidden)")
    }
}
