//! The roles of a principal.

/// What a principal is allowed to be: none, one (accounts of ours have no more), or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Box<[Box<str>]>);

impl Roles {
    /// No role.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// This one.
    #[must_use]
    pub fn one(role: impl Into<Box<str>>) -> Self {
        Self(Box::new([role.into()]))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|role| &**role)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The role, where there is one and no other.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        match &*self.0 {
            [role] => Some(role),
            _ => None,
        }
    }

    /// Whether one of them is one of `wanted`.
    #[must_use]
    pub fn has_any(&self, wanted: &[Box<str>]) -> bool {
        self.0.iter().any(|role| wanted.contains(role))
    }
}

impl<T: Into<Box<str>>> FromIterator<T> for Roles {
    fn from_iter<I: IntoIterator<Item = T>>(roles: I) -> Self {
        Self(roles.into_iter().map(Into::into).collect())
    }
}
