//! A panic of the library becomes a failure of one call.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Once;

use crate::failure::Failure;

thread_local! {
    static PANIC_PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs `work`. Of a panic only the place is kept: its message may quote the text, which belongs in no log, and the
/// default hook would print it.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        set_hook(Box::new(|panic| {
            PANIC_PLACE.set(panic.location().map(|place| place.to_string()));
        }));
    });
    // Whatever a panic left half done is not seen again: the encoder is immutable and its caches skip poisoned locks.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let place = PANIC_PLACE.take().unwrap_or_else(|| "an unknown place".to_owned());
        Err(Failure::internal(format!("the tokenizer library panicked at {place}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;

    #[test]
    fn a_panic_becomes_an_internal_failure_without_its_message() {
        let failure = guarded::<()>(|| panic!("quoted text")).unwrap_err();
        assert_eq!(failure.code, Code::Internal);
        assert!(failure.message.contains("panic_guard.rs"), "{}", failure.message);
        assert!(!failure.message.contains("quoted text"), "{}", failure.message);
    }

    #[test]
    fn a_result_passes_through() {
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
    }
}
