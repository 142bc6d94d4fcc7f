//! What is learnt from exchanges, unless it would tell a secret.

use super::{
    draft,
    observed::{Learnt, Observed},
    purpose::Purposes,
    secrecy::{readings, stands_in},
};

/// The contract that answers as these exchanges do.
///
/// # Errors
/// Why there is none: no login succeeds, or a secret would have to be written.
pub fn learn(name: &str, observed: &[Observed<'_>]) -> Result<Learnt, String> {
    let purposes = Purposes::of(observed)?;
    let learnt = draft::write(name, &purposes, observed)?;
    let readings = readings(&learnt.text);
    for secret in purposes.secrets(observed) {
        if readings.iter().any(|text| stands_in(text, &secret)) {
            return Err(
                "an answer repeats a password or a token where none is recognised: take it out of the recording"
                    .to_owned(),
            );
        }
    }
    Ok(learnt)
}
