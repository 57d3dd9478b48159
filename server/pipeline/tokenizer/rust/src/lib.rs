//! The C functions of ../reprise_tokenizer.h; each only converts arguments, guards against panics and reports.

mod encoder;
mod failure;
mod panic_guard;

use std::ffi::{CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use encoder::{Encoder, Tokens};
use failure::{Code, Failure};
use panic_guard::guarded;

/// `reprise_encoding`: two boxed slices of `length` entries.
#[repr(C)]
pub struct CEncoding {
    ids: *mut i32,
    type_ids: *mut i32,
    length: usize,
}

/// # Safety
/// `path` points to `path_length` readable bytes (any pointer if 0); `tokenizer` and `error` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reprise_tokenizer_load(
    path: *const c_char,
    path_length: usize,
    tokenizer: *mut *mut Encoder,
    error: *mut *mut c_char,
) -> Code {
    let path = Path::new(OsStr::from_bytes(unsafe { bytes_of(path, path_length) }));
    match guarded(|| Encoder::load(path)) {
        Ok(loaded) => {
            unsafe { *tokenizer = Box::into_raw(Box::new(loaded)) };
            Code::Ok
        }
        Err(failure) => unsafe { report(failure, error) },
    }
}

/// # Safety
/// `tokenizer` comes from `reprise_tokenizer_load` and is not yet freed; `text` points to `text_length` readable bytes
/// (any pointer if 0); `encoding` and `error` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reprise_tokenizer_encode(
    tokenizer: *const Encoder,
    text: *const c_char,
    text_length: usize,
    max_tokens: usize,
    encoding: *mut CEncoding,
    error: *mut *mut c_char,
) -> Code {
    let bytes = unsafe { bytes_of(text, text_length) };
    let encoder = unsafe { &*tokenizer };
    match guarded(|| encoder.encode(utf8(bytes)?, max_tokens)) {
        Ok(Tokens { ids, type_ids }) => {
            let length = ids.len();
            unsafe { *encoding = CEncoding { ids: into_raw(ids), type_ids: into_raw(type_ids), length } };
            Code::Ok
        }
        Err(failure) => unsafe { report(failure, error) },
    }
}

/// # Safety
/// `tokenizer` comes from `reprise_tokenizer_load` and is not yet freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reprise_tokenizer_vocab_size(tokenizer: *const Encoder) -> i32 {
    unsafe { &*tokenizer }.vocab_size()
}

/// # Safety
/// `tokenizer` is null or comes from `reprise_tokenizer_load`, and no other call uses it now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reprise_tokenizer_free(tokenizer: *mut Encoder) {
    if !tokenizer.is_null() {
        drop(unsafe { Box::from_raw(tokenizer) });
    }
}

/// # Safety
/// `encoding` was filled by `reprise_tokenizer_encode` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reprise_tokenizer_free_encoding(encoding: CEncoding) {
    for values in [encoding.ids, encoding.type_ids] {
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(values, encoding.length)) });
    }
}

/// # Safety
/// `error` is null or was set by a function above, and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reprise_tokenizer_free_error(error: *mut c_char) {
    if !error.is_null() {
        drop(unsafe { CString::from_raw(error) });
    }
}

/// The bytes at `data`, which C++ may leave null where there are none.
unsafe fn bytes_of<'a>(data: *const c_char, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(data.cast(), length) }
}

fn utf8(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|error| {
        Failure::invalid(format!(
            "the text is not UTF-8: byte {} of {} starts no valid character; expected UTF-8",
            error.valid_up_to(),
            bytes.len()
        ))
    })
}

fn into_raw(values: Vec<i32>) -> *mut i32 {
    Box::into_raw(values.into_boxed_slice()).cast()
}

unsafe fn report(failure: Failure, error: *mut *mut c_char) -> Code {
    let message = CString::new(failure.message.replace('\0', "\\0")).unwrap_or_default();
    unsafe { *error = message.into_raw() };
    failure.code
}
