//! A hole, checked.

use super::{
    flaw::{At, Flaw},
    format::Format,
    kind::Kind,
    syntax::{Call, RawHole},
    value::{Fact, Known, Place, Presence, Scene, Source},
};

/// A hole of a template. Its formats fit its values, and its values are known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct Hole {
    alternatives: Box<[Filling]>,
    absence: Absence,
    /// The kind of what fills it.
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Filling {
    source: Source,
    formats: Box<[Format]>,
}

/// Where a hole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is a value of its own.
    Alone,
    /// Inside of a text, which has neither members nor `null`.
    InText,
}

/// What stands in a hole that nothing fills.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Absence {
    /// The whole response gives way to the contract's `incomplete`.
    Incomplete,
    Omit,
    Null,
    Default(Box<str>),
}

/// A value that the template cannot do without is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct Incomplete;

/// What fills a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) enum Filled<'a> {
    /// A value.
    #[expect(private_interfaces, reason = "what a value is stays in this folder")]
    Fact(Fact<'a>),
    /// `null`
    Null,
    /// The member or element is left out.
    Omitted,
}

impl Hole {
    /// Checks a hole as it is written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(raw: &RawHole, scene: &Scene<'_>, stands: Stands) -> Result<Self, Flaw> {
        let wrong = |message: String| Flaw { at: At::Hole(raw.written.clone()), message };
        let mut alternatives = vec![];
        let (mut kind, mut absence, mut sure) = (None, None, false);
        let last = raw.alternatives.len() - 1;
        for (index, alternative) in raw.alternatives.iter().enumerate() {
            let (source, of_source) = Source::named(&alternative.path, scene).map_err(&wrong)?;
            let mut calls = &alternative.calls[..];
            if index == last
                && let [init @ .., call] = calls
                && let Some(said) = Absence::said(call)
            {
                (calls, absence) = (init, Some(said.map_err(&wrong)?));
            }
            let (formats, of_filling) = formats(calls, of_source, scene).map_err(&wrong)?;
            if sure {
                let message =
                    format!("'{}' never fills the hole: what stands before it is always there", alternative.path);
                return Err(wrong(message));
            }
            if kind.is_some_and(|kind| kind != of_filling) {
                return Err(wrong("all that may fill a hole must be of one kind".to_owned()));
            }
            kind = Some(of_filling);
            sure |= source.presence(scene) == Presence::Always;
            alternatives.push(Filling { source, formats });
        }
        let kind = kind.unwrap_or(Kind::Text);
        if kind == Kind::Instant {
            return Err(wrong("a date needs a formatter: |local '%Y-%m-%d %H:%M:%S', |iso_ms or |unix".to_owned()));
        }
        if sure && absence.is_some() {
            return Err(wrong("the value is always there: what stands for its absence means nothing".to_owned()));
        }
        if kind == Kind::Lack {
            return Err(wrong("it needs a formatter: |cases 'It is required.' 'It must not be empty.'".to_owned()));
        }
        if !sure && absence.is_none() && !scene.has_incomplete {
            let ways = match stands {
                Stands::Alone => "|omit, |null or |default '…'",
                Stands::InText => "|default '…'",
            };
            let incomplete = if scene.place == Place::Claim { "" } else { ", or declare responses.incomplete" };
            return Err(wrong(format!("the value may be absent: say {ways}{incomplete}")));
        }
        Ok(Self { alternatives: alternatives.into(), absence: absence.unwrap_or(Absence::Incomplete), kind })
    }

    /// Whether it may be left out.
    pub(super) const fn may_omit(&self) -> bool {
        matches!(self.absence, Absence::Omit)
    }

    /// Whether it may be `null`.
    pub(super) const fn may_be_null(&self) -> bool {
        matches!(self.absence, Absence::Null)
    }

    /// What stands there instead of an absent value.
    pub(super) fn default(&self) -> Option<&str> {
        if let Absence::Default(text) = &self.absence { Some(text) } else { None }
    }

    /// Whether it is a token.
    pub(super) fn is_token(&self) -> bool {
        self.alternatives.iter().any(|filling| matches!(filling.source, Source::Token(_)))
    }

    /// What fills it.
    ///
    /// # Errors
    /// When nothing does, and the template cannot do without.
    pub(in crate::rules::contract) fn fill<'a>(&'a self, known: &Known<'a>) -> Result<Filled<'a>, Incomplete> {
        for Filling { source, formats } in &self.alternatives {
            if let Some(fact) = source.find(known) {
                return Ok(Filled::Fact(formats.iter().fold(fact, |fact, format| format.apply(fact, known))));
            }
        }
        match &self.absence {
            Absence::Incomplete => Err(Incomplete),
            Absence::Omit => Ok(Filled::Omitted),
            Absence::Null => Ok(Filled::Null),
            Absence::Default(text) => Ok(Filled::Fact(Fact::Text(text.as_ref().into()))),
        }
    }
}

impl Absence {
    /// What `call` says about absence; `None` when it is about something else.
    fn said(call: &Call) -> Option<Result<Self, String>> {
        let said = match (&*call.name, &call.arguments[..]) {
            ("omit", []) => Self::Omit,
            ("null", []) => Self::Null,
            ("default", [text]) => Self::Default(text.as_str().into()),
            ("omit" | "null", _) => return Some(Err(format!("|{} takes no argument", call.name))),
            ("default", _) => return Some(Err("|default takes one argument, such as |default ''".to_owned())),
            _ => return None,
        };
        Some(Ok(said))
    }
}

fn formats(calls: &[Call], mut kind: Kind, scene: &Scene<'_>) -> Result<(Box<[Format]>, Kind), String> {
    let mut formats = vec![];
    for call in calls {
        let (format, result) = Format::of(call, kind, scene)?;
        kind = result;
        formats.push(format);
    }
    Ok((formats.into(), kind))
}
