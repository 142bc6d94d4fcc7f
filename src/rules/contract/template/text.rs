//! A text with holes, checked.

use std::fmt::Write;

use super::{
    flaw::{At, Flaw},
    hole::{Filled, Hole, Incomplete, Stands},
    kind::Kind,
    syntax::{self, Piece, RawHole},
    value::{Constants, ErrorWords, Fact, Known, Scene},
};

/// A text whose holes are filled when it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::rules::contract) struct Text(Vec<Part>);

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Letters(String),
    Hole(Hole),
}

/// A text, or one hole alone, which keeps its kind.
pub(in crate::rules::contract) enum Read {
    Text(Text),
    Hole(Hole),
    Constant(serde_json::Value),
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::rules::contract) fn read(text: &str, scene: &Scene<'_>) -> Result<Self, Flaw> {
        let mut parts = Self::default();
        for piece in syntax::pieces(text)? {
            match piece {
                Piece::Letters(letters) => parts.push_letters(&letters),
                Piece::Hole(raw) => parts.push_hole(&raw, scene)?,
            }
        }
        Ok(parts)
    }

    /// Reads a text that keeps its kind where it is one hole alone.
    pub(in crate::rules::contract) fn read_alone(text: &str, scene: &Scene<'_>) -> Result<Read, Flaw> {
        if let [Piece::Hole(raw)] = &syntax::pieces(text)?[..] {
            return match constant(raw, scene)? {
                Some(Constant::Text(text)) => Ok(Read::Text(text)),
                Some(Constant::Json(value)) => Ok(Read::Constant(value)),
                Some(Constant::Hole(hole)) => Ok(Read::Hole(hole)),
                None => Hole::check(raw, scene, Stands::Alone).map(Read::Hole),
            };
        }
        Self::read(text, scene).map(Read::Text)
    }

    /// The text, where it has no holes.
    pub(super) fn letters(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [Part::Letters(letters)] => Some(letters),
            _ => None,
        }
    }

    /// Its letters and its holes, in their order.
    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Writes it.
    ///
    /// # Errors
    /// When a value is missing that it cannot do without.
    pub(in crate::rules::contract) fn fill(&self, known: &Known<'_>) -> Result<String, Incomplete> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Letters(letters) => text.push_str(letters),
                Part::Hole(hole) => match hole.fill(known)? {
                    Filled::Fact(Fact::Text(value)) => text.push_str(&value),
                    Filled::Fact(Fact::Integer(number)) => {
                        // A `String` takes everything.
                        let _ = write!(text, "{number}");
                    }
                    // Refused when the contract was read.
                    Filled::Fact(Fact::Instant(_) | Fact::List(_) | Fact::Lack(_)) | Filled::Null | Filled::Omitted => {
                    }
                },
            }
        }
        Ok(text)
    }

    fn push_letters(&mut self, letters: &str) {
        match self.0.last_mut() {
            Some(Part::Letters(before)) => before.push_str(letters),
            _ => self.0.push(Part::Letters(letters.to_owned())),
        }
    }

    fn push_hole(&mut self, raw: &RawHole, scene: &Scene<'_>) -> Result<(), Flaw> {
        match constant(raw, scene)? {
            Some(Constant::Json(serde_json::Value::String(text))) => self.push_letters(&text),
            Some(Constant::Json(value)) => self.push_letters(&value.to_string()),
            Some(Constant::Text(text)) => {
                for part in text.0 {
                    match part {
                        Part::Letters(letters) => self.push_letters(&letters),
                        hole @ Part::Hole(_) => self.0.push(hole),
                    }
                }
            }
            Some(Constant::Hole(hole)) => self.push_checked(hole, raw)?,
            None => self.push_checked(Hole::check(raw, scene, Stands::InText)?, raw)?,
        }
        Ok(())
    }

    fn push_checked(&mut self, hole: Hole, raw: &RawHole) -> Result<(), Flaw> {
        let wrong = |message: &str| Flaw { at: At::Hole(raw.written.clone()), message: message.to_owned() };
        if hole.kind == Kind::List {
            return Err(wrong("a list cannot stand inside of a text: |join it"));
        }
        if hole.may_omit() || hole.may_be_null() {
            return Err(wrong("inside of a text an absent value needs |default '…'"));
        }
        self.0.push(Part::Hole(hole));
        Ok(())
    }
}

/// What is known when the contract is read.
enum Constant {
    Json(serde_json::Value),
    Text(Text),
    /// A text of the contract's own that is a list: one hole alone.
    Hole(Hole),
}

/// The constant that a hole names; `None` when it names something else.
fn constant(raw: &RawHole, scene: &Scene<'_>) -> Result<Option<Constant>, Flaw> {
    let [alternative] = &raw.alternatives[..] else { return Ok(None) };
    let wrong = |message: String| Flaw { at: At::Hole(raw.written.clone()), message };
    let path = &*alternative.path;
    let found = if let Some(name) = path.strip_prefix("texts.") {
        let texts = scene.constants.texts;
        let Some((_, text)) = texts.named.iter().find(|(known, _)| known == name) else { return Ok(None) };
        // A text that names texts would have no end.
        let of_text = |flaw: Flaw| wrong(format!("in the text {}.{name}: {}", texts.language, flaw.message));
        let scene = Scene { constants: Constants::NONE, ..*scene };
        match Text::read_alone(text, &scene) {
            // A text is text, but for a list: that would be none.
            Ok(Read::Hole(hole)) if hole.kind == Kind::List => Constant::Hole(hole),
            _ => Constant::Text(Text::read(text, &scene).map_err(of_text)?),
        }
    } else if let Some(error) = &scene.constants.error {
        match (path, error.status) {
            ("status", Some(status)) => Constant::Json(status.into()),
            ("title" | "phrase", None) => {
                return Err(wrong("the status is the realm's error_status: write the text out".to_owned()));
            }
            ("title", _) => Constant::Json(error.title.into()),
            ("phrase", _) => Constant::Json(error.phrase.as_str().into()),
            ("code", _) => match (&error.code, error.status) {
                (Some(code), _) => Constant::Json(code.clone()),
                (None, Some(status)) => Constant::Json(status.into()),
                (None, None) => return Err(wrong("this error has no code: say code = 1, for example".to_owned())),
            },
            ("message", _) => {
                let Some(message) = &error.message else {
                    return Err(wrong("this error has no message: say message = \"…\"".to_owned()));
                };
                let error = ErrorWords { message: None, ..error.clone() };
                let constants = Constants { texts: scene.constants.texts, error: Some(error) };
                let read = Text::read(message, &Scene { constants: &constants, ..*scene });
                Constant::Text(read.map_err(|flaw| wrong(format!("in this text: {}", flaw.message)))?)
            }
            _ => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    if alternative.calls.is_empty() {
        return Ok(Some(found));
    }
    Err(wrong(format!("'{path}' is known when the contract is read, and takes no formatter")))
}
