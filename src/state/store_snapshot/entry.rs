//! What a record says, as bytes. Numbers are big-endian.

use std::time::Duration;

use uuid::Uuid;

use super::confirmed::{Boot, Confirmed, Instant};
use crate::{
    domain::{PrincipalId, RealmName, RevocationId, SessionId, Timestamp},
    state::{
        account::AccountId,
        clock::{self, Pruned},
        keys::KeptKeys,
        revocation::log::{Record, RevokedSubject},
        store::{Position, Value},
    },
};

/// Revocations, or accounts, that one record has at most.
pub(super) const ITEMS_MAX: usize = 10_000;

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// Revoked beside all that was before.
    Revocations(Vec<Record>),
    /// All keys that may have tokens, in the place of those before.
    Keys(KeptKeys),
    /// Accounts beside those of the realm that were before. A realm without new ones is known all the same.
    Accounts(RealmName, Vec<AccountId>),
    /// The row of the clock, in the place of the one before.
    Clock(clock::Row),
    /// What memory has dropped.
    Pruned(Pruned),
    /// All of it was confirmed.
    Confirmed(Confirmed),
    /// The base is whole; what follows is the journal.
    EndOfBase,
}

const REVOCATIONS: u8 = 1;
const KEYS: u8 = 2;
const ACCOUNTS: u8 = 3;
const CLOCK: u8 = 4;
const PRUNED: u8 = 5;
const CONFIRMED: u8 = 6;
const END_OF_BASE: u8 = 7;

impl Entry {
    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Out(vec![]);
        match self {
            Self::Revocations(records) => {
                out.byte(REVOCATIONS);
                encode_revocations(&mut out, records);
            }
            Self::Keys(keys) => {
                out.byte(KEYS);
                encode_keys(&mut out, keys);
            }
            Self::Accounts(realm, ids) => {
                out.byte(ACCOUNTS);
                out.bytes(realm.as_str().as_bytes());
                for AccountId(id) in ids {
                    out.0.extend(id.to_be_bytes());
                }
            }
            Self::Clock(row) => {
                out.byte(CLOCK);
                row.to_numbers().into_iter().for_each(|number| out.optional(number));
            }
            Self::Pruned(pruned) => {
                out.byte(PRUNED);
                pruned.to_numbers().into_iter().for_each(|number| out.optional(number));
            }
            Self::Confirmed(Confirmed { position, accounts_seen, at }) => {
                out.byte(CONFIRMED);
                out.number(position.seq);
                out.0.extend(position.bits.to_be_bytes());
                out.number(*accounts_seen);
                out.number(at.civil.as_millis());
                out.number(i64::try_from(at.since_boot.as_millis()).unwrap_or(i64::MAX));
                out.byte(at.boot.id().is_some().into());
                out.0.extend(at.boot.id().unwrap_or_default().as_bytes());
            }
            Self::EndOfBase => out.byte(END_OF_BASE),
        }
        out.0
    }

    /// What these bytes say; `None` where they are nothing that [`Entry::encode`] makes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = In(bytes);
        let entry = match input.byte()? {
            REVOCATIONS => Self::Revocations(decode_revocations(&mut input)?),
            KEYS => Self::Keys(decode_keys(&mut input)?),
            ACCOUNTS => {
                let realm = std::str::from_utf8(input.bytes()?).ok()?.parse().ok()?;
                let (ids, rest) = input.0.as_chunks();
                let ids = ids.iter().map(|id| AccountId(u128::from_be_bytes(*id))).collect();
                input.0 = rest;
                Self::Accounts(realm, ids)
            }
            CLOCK => Self::Clock(clock::Row::from_numbers(input.optionals()?)?),
            PRUNED => Self::Pruned(Pruned::from_numbers(input.optionals()?)),
            CONFIRMED => Self::Confirmed(decode_confirmed(&mut input)?),
            END_OF_BASE => Self::EndOfBase,
            _ => return None,
        };
        input.0.is_empty().then_some(entry)
    }
}

fn decode_confirmed(input: &mut In<'_>) -> Option<Confirmed> {
    let position = Position { seq: input.number()?, bits: u128::from_be_bytes(*input.array()?) };
    let accounts_seen = input.number()?;
    let civil = Timestamp::from_millis(input.number()?);
    let since_boot = Duration::from_millis(input.number()?.try_into().ok()?);
    let is_known = input.boolean()?;
    let id = Uuid::from_bytes(*input.array()?);
    let boot = Boot::from_id(is_known.then_some(id));
    Some(Confirmed { position, accounts_seen, at: Instant { civil, since_boot, boot } })
}

/// What is the same in many revocations: their kind, and their end.
type Run = (u8, Option<i64>);

const TOKEN: u8 = 0;
const SESSION: u8 = 1;
const PRINCIPAL: u8 = 2;

fn run_of(record: &Record) -> Run {
    let kind = match record.subject {
        RevokedSubject::Token(_) => TOKEN,
        RevokedSubject::Session(_) => SESSION,
        RevokedSubject::Principal(..) => PRINCIPAL,
    };
    (kind, record.expires_at.map(Timestamp::as_millis))
}

/// Memory knows the ends of buckets, so that very many of a base have the same one: they stand behind it together.
fn encode_revocations(out: &mut Out, records: &[Record]) {
    let mut ordered: Vec<_> = records.iter().collect();
    ordered.sort_by_key(|record| run_of(record));
    for same in ordered.chunk_by(|one, next| run_of(one) == run_of(next)) {
        let (kind, expires_at) = run_of(same[0]);
        out.byte(kind);
        out.optional(expires_at);
        out.number(i64::try_from(same.len()).unwrap_or(i64::MAX));
        for record in same {
            match record.subject {
                RevokedSubject::Token(id) => out.0.extend(id.to_bytes()),
                RevokedSubject::Session(id) => out.0.extend(id.uuid().as_bytes()),
                RevokedSubject::Principal(id, epoch) => {
                    out.0.extend(id.uuid().as_bytes());
                    out.0.extend(epoch.to_be_bytes());
                }
            }
        }
    }
}

/// When they were revoked is not kept: nobody asks for it.
fn decode_revocations(input: &mut In<'_>) -> Option<Vec<Record>> {
    let mut records = vec![];
    while !input.0.is_empty() {
        let (kind, expires_at, count) = (input.byte()?, input.optional().ok()?, input.number()?);
        let (expires_at, created_at) = (expires_at.map(Timestamp::from_millis), Timestamp::from_millis(0));
        for _ in 0..count {
            let id = *input.array()?;
            let subject = match kind {
                TOKEN => RevokedSubject::Token(RevocationId::from_bytes(id)),
                SESSION => RevokedSubject::Session(SessionId::from_uuid(Uuid::from_bytes(id))),
                PRINCIPAL => {
                    let epoch = u32::from_be_bytes(*input.array()?);
                    RevokedSubject::Principal(PrincipalId::from_uuid(Uuid::from_bytes(id)), epoch)
                }
                _ => return None,
            };
            records.push(Record { subject, expires_at, created_at });
        }
    }
    Some(records)
}

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BYTES: u8 = 3;
const BOOLEAN: u8 = 4;

fn encode_keys(out: &mut Out, keys: &KeptKeys) {
    out.bytes(keys.fingerprint());
    for row in keys.rows() {
        out.byte(u8::try_from(row.len()).unwrap_or(u8::MAX));
        for value in row {
            match value {
                Value::Integer(value) => {
                    out.byte(INTEGER);
                    out.optional(*value);
                }
                Value::Text(value) => out.octets(TEXT, value.as_deref().map(str::as_bytes)),
                Value::Bytes(value) => out.octets(BYTES, value.as_deref()),
                Value::Boolean(value) => {
                    out.byte(BOOLEAN);
                    out.byte((*value).into());
                }
            }
        }
    }
}

fn decode_keys(input: &mut In<'_>) -> Option<KeptKeys> {
    let fingerprint = input.bytes()?.to_vec();
    let mut rows = vec![];
    while !input.0.is_empty() {
        let columns = input.byte()?;
        rows.push((0..columns).map(|_| decode_value(input)).collect::<Option<Vec<_>>>()?);
    }
    KeptKeys::from_rows(fingerprint, rows)
}

fn decode_value(input: &mut In<'_>) -> Option<Value> {
    let kind = input.byte()?;
    Some(match kind {
        INTEGER => Value::Integer(input.optional().ok()?),
        TEXT => {
            let text = input.octets().ok()?.map(|bytes| String::from_utf8(bytes.to_vec()).ok());
            Value::Text(if let Some(text) = text { Some(text?) } else { None })
        }
        BYTES => Value::Bytes(input.octets().ok()?.map(<[u8]>::to_vec)),
        BOOLEAN => Value::Boolean(input.boolean()?),
        _ => return None,
    })
}

/// Bytes in the making.
struct Out(Vec<u8>);

impl Out {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: i64) {
        self.0.extend(number.to_be_bytes());
    }

    fn optional(&mut self, number: Option<i64>) {
        self.byte(if number.is_some() { INTEGER } else { NULL });
        if let Some(number) = number {
            self.number(number);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.0.extend(bytes);
    }

    fn octets(&mut self, kind: u8, octets: Option<&[u8]>) {
        self.byte(kind);
        self.byte(octets.is_some().into());
        if let Some(octets) = octets {
            self.bytes(octets);
        }
    }
}

/// Bytes that are no entry.
struct Malformed;

/// What is left of some bytes.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<i64> {
        self.array().map(|bytes| i64::from_be_bytes(*bytes))
    }

    fn optional(&mut self) -> Result<Option<i64>, Malformed> {
        match self.byte().ok_or(Malformed)? {
            NULL => Ok(None),
            INTEGER => self.number().map(Some).ok_or(Malformed),
            _ => Err(Malformed),
        }
    }

    fn optionals<const N: usize>(&mut self) -> Option<[Option<i64>; N]> {
        let mut numbers = [None; N];
        for number in &mut numbers {
            *number = self.optional().ok()?;
        }
        Some(numbers)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.try_into().ok()?)
    }

    fn octets(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.boolean().ok_or(Malformed)? { self.bytes().map(Some).ok_or(Malformed) } else { Ok(None) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::state::store_snapshot) fn confirmed() -> impl Strategy<Value = Confirmed> {
        let at = (any::<i64>(), 0..u64::try_from(i64::MAX).unwrap(), any::<Option<u128>>());
        let at = at.prop_map(|(civil, since_boot, boot)| Instant {
            civil: Timestamp::from_millis(civil),
            since_boot: Duration::from_millis(since_boot),
            boot: Boot::from_id(boot.map(Uuid::from_u128)),
        });
        (any::<(i64, u128, i64)>(), at).prop_map(|((seq, bits, accounts_seen), at)| Confirmed {
            position: Position { seq, bits },
            accounts_seen,
            at,
        })
    }

    fn revocations() -> impl Strategy<Value = Vec<Record>> {
        let record = (0..3, any::<u128>(), any::<u32>(), prop::option::of(0..3_i64));
        let record = record.prop_map(|(kind, id, epoch, expires_at)| Record {
            subject: match kind {
                0 => RevokedSubject::Token(RevocationId::from_bytes(id.to_be_bytes())),
                1 => RevokedSubject::Session(SessionId::from_uuid(Uuid::from_u128(id))),
                _ => RevokedSubject::Principal(PrincipalId::from_uuid(Uuid::from_u128(id)), epoch),
            },
            expires_at: expires_at.map(Timestamp::from_millis),
            created_at: Timestamp::from_millis(0),
        });
        // In the order in which they come out.
        prop::collection::vec(record, 0..20).prop_map(|mut records| {
            records.sort_by_key(run_of);
            records
        })
    }

    pub(in crate::state::store_snapshot) fn entry() -> impl Strategy<Value = Entry> {
        let ids = prop::collection::vec(any::<u128>().prop_map(AccountId), 0..5);
        prop_oneof![
            revocations().prop_map(Entry::Revocations),
            confirmed().prop_map(Entry::Confirmed),
            any::<[Option<i64>; 3]>().prop_map(|numbers| Entry::Pruned(Pruned::from_numbers(numbers))),
            ("[a-z]{1,9}", ids).prop_map(|(realm, ids)| Entry::Accounts(realm.parse().unwrap(), ids)),
            Just(Entry::EndOfBase),
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_comes_back(entry in entry(), more in any::<u8>()) {
            let bytes = entry.encode();
            prop_assert_eq!(Entry::decode(&bytes), Some(entry.clone()));
            let is_list = matches!(entry, Entry::Revocations(_) | Entry::Accounts(..));
            prop_assert!(is_list || Entry::decode(&[&bytes[..], &[more]].concat()).is_none());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(entry) = Entry::decode(&bytes) {
                prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
            }
        }
    }
}
