//! Which new passwords are refused: short ones, those of a list that an operator has, and secrets of Portero's own form
//! that lost a character. What is taken over from another system, or is the demo's, is not asked.

use std::{fmt, ops::Range, sync::Arc};

use arc_swap::ArcSwap;

use super::password::{self, PasswordError};
use crate::domain::{Secret, made_secret};

/// Characters of a new password, at least (NIST SP 800-63B, section 3.1.1.2; OWASP ASVS 5, 6.2.1).
pub const PASSWORD_CHARS_MIN: usize = 8;

/// The rules that new passwords are held against. Cloning shares them; a reload replaces the list for all.
#[derive(Clone, Debug, Default)]
pub struct PasswordRules(Arc<ArcSwap<RefusedPasswords>>);

impl PasswordRules {
    /// Rules with this list.
    #[must_use]
    pub fn new(refused: Arc<RefusedPasswords>) -> Self {
        Self(Arc::new(ArcSwap::new(refused)))
    }

    /// Replaces the list.
    pub fn refuse(&self, refused: Arc<RefusedPasswords>) {
        self.0.store(refused);
    }

    /// Says whether somebody may choose this password.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, password: &Secret) -> Result<(), PasswordError> {
        password::check(password)?;
        if made_secret::is_damaged(password) {
            return Err(PasswordError::Damaged);
        }
        if password.expose().chars().nth(PASSWORD_CHARS_MIN - 1).is_none() {
            return Err(PasswordError::TooShort);
        }
        if self.0.load().contains(password) {
            return Err(PasswordError::Refused);
        }
        Ok(())
    }
}

/// A list of passwords that nobody may choose, because many people do. Upper and lower case are the same.
#[derive(Default)]
pub struct RefusedPasswords {
    /// The file, in lower case.
    text: String,
    /// Its lines, sorted. A file has at most 4 MiB.
    lines: Vec<Range<u32>>,
}

impl RefusedPasswords {
    /// Of a text with one password a line. Empty lines are skipped.
    #[must_use]
    pub fn of_lines(text: &str) -> Self {
        let text = text.to_lowercase();
        let mut lines = vec![];
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let password = line.trim_end_matches(['\n', '\r']);
            if let (Ok(from), Ok(to)) = (u32::try_from(start), u32::try_from(start + password.len()))
                && from < to
            {
                lines.push(from..to);
            }
            start += line.len();
        }
        let mut list = Self { text, lines: vec![] };
        lines.sort_unstable_by(|a, b| list.line(a).cmp(list.line(b)));
        lines.dedup_by(|a, b| list.line(a) == list.line(b));
        list.lines = lines;
        list
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn contains(&self, password: &Secret) -> bool {
        let folded = Secret::new(password.expose().to_lowercase());
        self.lines.binary_search_by(|line| self.line(line).cmp(folded.expose())).is_ok()
    }

    fn line(&self, range: &Range<u32>) -> &str {
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

impl fmt::Debug for RefusedPasswords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedPasswords").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(rules: &PasswordRules, password: &str) -> Result<(), PasswordError> {
        rules.check(&password.into())
    }

    #[test]
    fn a_new_password_has_eight_characters_and_not_eight_bytes() {
        let rules = PasswordRules::default();
        assert_eq!(judged(&rules, ""), Err(PasswordError::Empty));
        assert_eq!(judged(&rules, "1234567"), Err(PasswordError::TooShort));
        assert_eq!(judged(&rules, "ñañañañ"), Err(PasswordError::TooShort));
        for good in ["12345678", "ñañañaña", "        "] {
            assert_eq!(judged(&rules, good), Ok(()), "{good}");
        }
        assert_eq!(judged(&rules, &"x".repeat(password::PASSWORD_BYTES_MAX + 1)), Err(PasswordError::TooLong));
    }

    #[test]
    fn what_stands_in_the_list_is_refused_in_any_case_and_whole_lines_only() {
        let list = "password1\r\nQWERTYUIOP\n\n  spaced  \nÑANDÚÑANDÚ\npassword1\nlast line without an end";
        let rules = PasswordRules::new(Arc::new(RefusedPasswords::of_lines(list)));
        for refused in ["password1", "PassWord1", "qwertyuiop", "  spaced  ", "ñandúñandú", "LAST LINE WITHOUT AN END"]
        {
            assert_eq!(judged(&rules, refused), Err(PasswordError::Refused), "{refused}");
        }
        for good in ["password", "password12", "spaced  x", "last line"] {
            assert_eq!(judged(&rules, good), Ok(()), "{good}");
        }
        rules.refuse(Arc::new(RefusedPasswords::of_lines("password12")));
        assert_eq!(judged(&rules, "password1"), Ok(()));
        assert_eq!(judged(&rules, "password12"), Err(PasswordError::Refused));
    }

    #[test]
    fn a_made_secret_that_lost_a_character_is_not_set() {
        let made = made_secret::make();
        let rules = PasswordRules::default();
        assert_eq!(rules.check(&made), Ok(()));
        assert_eq!(judged(&rules, &made.expose()[..made.expose().len() - 1]), Err(PasswordError::Damaged));
    }
}
