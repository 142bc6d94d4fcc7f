//! Where a key stands in its life.

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Published, so that it is known before its first token comes; signs nothing yet.
    Next,
    /// Signs new tokens and verifies old ones.
    Active,
    /// Verifies old tokens only.
    Retiring,
    /// Its last token has ended; its material is gone.
    Retired,
    /// Its tokens are refused.
    Revoked,
}

impl KeyState {
    /// All of them, in the order of a key's life.
    pub const ALL: [Self; 5] = [Self::Next, Self::Active, Self::Retiring, Self::Retired, Self::Revoked];

    /// The word in the store and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    /// The state that `name` names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether tokens of a key in this state open anything. A next key's do: the gateway that signs
    /// first may be another one.
    #[must_use]
    pub const fn verifies(self) -> bool {
        matches!(self, Self::Next | Self::Active | Self::Retiring)
    }
}
