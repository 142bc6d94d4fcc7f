//! How a value is written.

use std::borrow::Cow;

use super::{
    kind::Kind,
    syntax::Call,
    value::{Fact, Known, Scene},
};
use crate::{
    domain::{Timestamp, text::suggestion},
    rules::contract::{Lack, dates},
};

/// A formatter, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A local date, as `strftime` has it.
    Local(Box<str>),
    IsoMillis,
    Unix,
    /// Between two neighbours, and between the last two.
    Join(Box<str>, Box<str>),
    /// The text before and after each element.
    Each(Box<str>, Box<str>),
    /// For one, and for any other number.
    Plural(Box<str>, Box<str>),
    /// For what is absent, empty, null, and no text.
    Cases([Box<str>; 4]),
}

/// Every formatter with its arguments and what it does.
pub(super) const FORMATS: [(&str, &str, &str); 10] = [
    ("local", "'%Y-%m-%d %H:%M:%S'", "a date in the realm's time zone, in the letters of strftime"),
    ("iso_ms", "", "a date as 2022-07-19T02:22:39.118Z"),
    ("unix", "", "a date as seconds since 1970, an integer"),
    ("join", "', ' [' y ']", "a list as one text; the second argument stands before the last element"),
    ("each", "'El campo {}'", "each element of a list in this text, at {}"),
    ("plural", "'año' 'años'", "the first text for 1 or a list of one, the second one for any other"),
    (
        "cases",
        "'absent' 'empty' 'null' 'no text'",
        "why a member is missing, each in its words; the last ones can be left out: then the first stands for them",
    ),
    ("omit", "", "where the value is absent, the member that it stands in is left out"),
    ("null", "", "where the value is absent, null"),
    ("default", "'text'", "where the value is absent, this text"),
];

impl Format {
    /// The formatter that `call` asks for, and the kind of what it writes.
    ///
    /// # Errors
    /// Why a value of `kind` cannot be written so.
    pub(super) fn of(call: &Call, kind: Kind, scene: &Scene<'_>) -> Result<(Self, Kind), String> {
        let arguments: Vec<_> = call.arguments.iter().map(String::as_str).collect();
        let (format, result) = match (&*call.name, kind, &arguments[..]) {
            ("local", Kind::Instant, [pattern]) => {
                if !scene.has_timezone {
                    return Err("|local needs the realm's time zone: declare settings.timezone".to_owned());
                }
                if dates::pattern_fails(pattern) {
                    return Err(format!("'{pattern}' is no pattern of strftime, such as '%Y-%m-%d %H:%M:%S'"));
                }
                (Self::Local((*pattern).into()), Kind::Text)
            }
            ("iso_ms", Kind::Instant, []) => (Self::IsoMillis, Kind::Text),
            ("unix", Kind::Instant, []) => (Self::Unix, Kind::Integer),
            ("join", Kind::List, [between]) => (Self::Join((*between).into(), (*between).into()), Kind::Text),
            ("join", Kind::List, [between, last]) => (Self::Join((*between).into(), (*last).into()), Kind::Text),
            ("each", Kind::List, [text]) => {
                let Some((before, after)) = text.split_once("{}").filter(|(_, after)| !after.contains("{}")) else {
                    return Err("|each needs one {} in its text, where the element stands".to_owned());
                };
                (Self::Each(before.into(), after.into()), Kind::List)
            }
            ("plural", Kind::List | Kind::Integer, [one, many]) => {
                (Self::Plural((*one).into(), (*many).into()), Kind::Text)
            }
            ("cases", Kind::Lack, [absent, others @ ..]) if (1..=3).contains(&others.len()) => {
                let text = |at: usize| others.get(at).copied().unwrap_or(absent).into();
                (Self::Cases([(*absent).into(), text(0), text(1), text(2)]), Kind::Text)
            }
            (name, ..) => return Err(unfit(name, kind)),
        };
        Ok((format, result))
    }

    /// The value, written so.
    pub(super) fn apply<'a>(&'a self, fact: Fact<'a>, known: &Known<'_>) -> Fact<'a> {
        match (self, fact) {
            (Self::Local(pattern), Fact::Instant(instant)) => {
                Fact::Text(dates::local(instant, &known.settings.timezone, pattern).into())
            }
            (Self::IsoMillis, Fact::Instant(instant)) => Fact::Text(dates::iso_millis(instant).into()),
            (Self::Unix, Fact::Instant(instant)) => Fact::Integer(Timestamp::as_secs(instant)),
            (Self::Join(between, last), Fact::List(items)) => Fact::Text(joined(&items, between, last).into()),
            (Self::Each(before, after), Fact::List(items)) => {
                Fact::List(items.iter().map(|item| Cow::Owned([before, &**item, after].concat())).collect())
            }
            (Self::Plural(one, many), fact) => {
                let is_one = match fact {
                    Fact::List(items) => items.len() == 1,
                    Fact::Integer(number) => number == 1,
                    _ => false,
                };
                Fact::Text(Cow::Borrowed(if is_one { one } else { many }))
            }
            (Self::Cases([absent, blank, null, mistyped]), Fact::Lack(lack)) => Fact::Text(Cow::Borrowed(match lack {
                Lack::Absent => absent,
                Lack::Blank => blank,
                Lack::Null => null,
                Lack::Mistyped => mistyped,
            })),
            // Another kind was refused when the contract was read.
            (_, fact) => fact,
        }
    }
}

fn unfit(name: &str, kind: Kind) -> String {
    let Some((_, arguments, about)) = FORMATS.iter().find(|(known, ..)| *known == name) else {
        return format!("no formatter is called '{name}'; {}", suggestion(name, FORMATS.map(|(name, ..)| name)));
    };
    if matches!(name, "omit" | "null" | "default") {
        return format!("|{name} stands last in a hole");
    }
    let takes = match name {
        "local" | "iso_ms" | "unix" => "a date",
        "plural" => "a number or a list",
        "cases" => "'missing.why'",
        _ => "a list",
    };
    let found = match kind {
        Kind::Text => "text",
        Kind::Integer => "a number",
        Kind::Instant => "a date",
        Kind::List => "a list",
        Kind::Lack => "why a member is missing",
    };
    let call = format!("|{name} {arguments}");
    let fits = match name {
        "local" | "iso_ms" | "unix" => kind == Kind::Instant,
        "plural" => matches!(kind, Kind::List | Kind::Integer),
        "cases" => kind == Kind::Lack,
        _ => kind == Kind::List,
    };
    if fits {
        return format!("|{name} is written with its texts between quotes: {} ({about})", call.trim_end());
    }
    format!("{} does not fit here: it takes {takes}, and this is {found} ({about})", call.trim_end())
}

fn joined(items: &[Cow<'_, str>], between: &str, last: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone().into_owned(),
        [head @ .., tail] => [&head.join(between), last, tail].concat(),
    }
}
