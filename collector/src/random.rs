//! Numbers that nobody can guess: tokens and ids.

/// Random bytes from the operating system.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let random = rustls::crypto::ring::default_provider().secure_random;
    if random.fill(&mut bytes).is_err() {
        // The kernel's generator does not fail once the system is up; were it to, a guessable token is worse than none.
        tracing::error!("the operating system gives no random numbers");
        std::process::abort();
    }
    bytes
}
