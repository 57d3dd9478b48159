//! What can go wrong, in the codes of reprise_tokenizer.h.

use std::path::Path;

/// `reprise_tokenizer_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Code {
    Ok = 0,
    InvalidArgument = 1,
    NotFound = 2,
    Internal = 3,
}

#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
}

impl Failure {
    pub fn invalid(message: String) -> Self {
        Self { code: Code::InvalidArgument, message }
    }

    pub fn internal(message: String) -> Self {
        Self { code: Code::Internal, message }
    }

    pub fn from_io(path: &Path, error: &std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Internal,
        };
        Self { code, message: format!("cannot read {}: {error}", path.display()) }
    }
}
