//! No panic leaves the binding: it becomes the `INTERNAL` error of whoever called.

use mayfly_core::error::Result;
use mayfly_core::guard;

/// Runs `body`; a panic in it becomes an `INTERNAL` error with its place. The first call installs the hook that knows places: no
/// thread of ours exists before it.
pub fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    guard::install_hook();
    guard::guarded("the binding", body)?
}

/// The same, of a body that can't fail.
pub fn caught_in(body: impl FnOnce()) -> Result<()> {
    caught(|| {
        body();
        Ok(())
    })
}
