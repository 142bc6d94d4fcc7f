//! What most requests do not need, out of the way of what all of them do.

use std::pin::Pin;

/// A future that most requests do not await, with its code and its room on the stack outside of the function that
/// awaits it. Otherwise both would be part of that function. One that each request goes through would take many
/// kilobytes of the stack, use few bytes here and there of them, and need more of the processor's caches than there is.
///
/// `make` makes it within this function. It costs one allocation.
#[cold]
#[inline(never)]
pub(crate) fn aside<'f, F>(make: impl FnOnce() -> F) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'f>>
where
    F: Future + Send + 'f,
{
    Box::pin(make())
}
