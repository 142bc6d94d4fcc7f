//! The actor that changes something, and from where.

/// The actor that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    kind: ActorKind,
    name: String,
    origin: String,
    request: Option<String>,
}

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// The holder of an admin token, by its name.
    Token,
    /// The holder of the token of `admin.token_file`.
    File,
    /// The user of the operating system that runs a command.
    Command,
    /// A gateway by itself: what a schedule makes due, what a signal or a changed file asks for.
    Gateway,
}

impl ActorKind {
    /// The word in rows and lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::File => "file",
            Self::Command => "command",
            Self::Gateway => "gateway",
        }
    }
}

impl Actor {
    /// The holder of the admin token called `name`, at a client's address.
    #[must_use]
    pub fn token(name: &str, address: &str) -> Self {
        Self { kind: ActorKind::Token, name: name.to_owned(), origin: address.to_owned(), request: None }
    }

    /// The holder of the token of `admin.token_file`, at a client's address.
    #[must_use]
    pub fn file(address: &str) -> Self {
        Self { kind: ActorKind::File, name: "file".to_owned(), origin: address.to_owned(), request: None }
    }

    /// The user of the operating system who runs a command, at a terminal.
    #[must_use]
    pub fn command(user: &str, terminal: &str) -> Self {
        Self { kind: ActorKind::Command, name: user.to_owned(), origin: terminal.to_owned(), request: None }
    }

    /// A gateway by itself, and what made it act.
    #[must_use]
    pub fn gateway(cause: &str) -> Self {
        Self { kind: ActorKind::Gateway, name: "gateway".to_owned(), origin: cause.to_owned(), request: None }
    }

    /// The same, in the request of this id.
    #[must_use]
    pub fn in_request(self, id: &str) -> Self {
        Self { request: Some(id.to_owned()), ..self }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> ActorKind {
        self.kind
    }

    /// Its name: of a token, of a user.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is: an address, a terminal; of a gateway what made it act.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The id of its request, where there is one.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }
}
