//! STAND-INS until core has them: delete this file and use `mayfly_core::lsp::scid` and `mayfly_core::keys` instead.

use mayfly_core::error::{Code, Error, Result};

/// `mayfly_core::lsp::scid`.
pub mod scid {
    /// `<block>x<transaction>x<output>` → LDK's integer.
    pub fn parse(text: &str) -> Result<u64, &'static str> {
        const FORM: &str = "it must be <block>x<transaction>x<output> in decimal digits, as in '512345x1203x5'";
        let mut parts = text.split('x').map(|part| part.parse::<u64>().map_err(|_| FORM));
        let (Some(block), Some(transaction), Some(output), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FORM);
        };
        Ok(block? << 40 | transaction? << 16 | output?)
    }

    /// LDK's integer → `<block>x<transaction>x<output>`.
    pub fn format(scid: u64) -> String {
        format!("{}x{}x{}", scid >> 40, (scid >> 16) & 0xff_ffff, scid & 0xffff)
    }
}

/// `mayfly_core::keys`.
pub mod keys {
    use super::*;

    /// A new BIP 39 mnemonic.
    pub fn generate_mnemonic(_words: u64) -> Result<String> {
        Err(Error::new(Code::Internal, "not wired yet"))
    }

    /// The node id of a mnemonic.
    pub fn derive_node_id(_mnemonic: &str, _network: &str) -> Result<String> {
        Err(Error::new(Code::Internal, "not wired yet"))
    }
}
