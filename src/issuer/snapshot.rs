//! The last good set on disk, so that a gateway that starts while the issuer is out of reach has its keys.
//!
//! It belongs to one issuer, one `iss` and one URL: after a change of these in the config it is ignored.
//! Only the gateway may be able to write it; who could write it could mint tokens.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::settings::{IssuerSettings, Jwks};
use crate::{
    domain::{Timestamp, id::hex, json::parse_object, random},
    state::keys::jwk::SET_BYTES_MAX,
};

/// Octets of a snapshot, at most: each octet of the set may be escaped, and the rest is small.
const FILE_BYTES_MAX: u64 = 2 * SET_BYTES_MAX as u64 + 64 * 1024;

/// Why there is a snapshot that is of no use.
#[derive(Debug, Error)]
pub(super) enum SnapshotError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it can be read or written by others (mode {0:o})")]
    Exposed(u32),
    #[error("it is damaged")]
    Damaged,
    #[error("it was made for another issuer or URL")]
    External,
}

/// A set as it came, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) set: Bytes,
    pub(super) etag: Option<HeaderValue>,
    /// When the issuer confirmed it last.
    pub(super) confirmed_at: Timestamp,
}

/// Where an issuer's snapshot is.
#[derive(Clone, Debug)]
pub(super) struct SnapshotFile {
    path: PathBuf,
    /// Members that must be in the file as they are here.
    binding: Map<String, Value>,
}

impl SnapshotFile {
    /// The snapshot of an issuer in `folder`.
    pub(super) fn new(folder: &Path, issuer: &IssuerSettings, jwks: &Jwks) -> Self {
        let binding = [
            ("version", json!(1)),
            ("name", json!(issuer.name.as_str())),
            ("issuer", json!(issuer.issuer)),
            ("url", json!(jwks.url.to_string())),
        ];
        let binding = binding.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { path: folder.join(format!("{}.json", issuer.name)), binding }
    }

    /// Reads it; `None` when there is none.
    pub(super) fn read(&self) -> Result<Option<Snapshot>, SnapshotError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SnapshotError::Exposed(mode));
        }
        let mut bytes = vec![];
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        let members = parse_object(&bytes).map_err(|_| SnapshotError::Damaged)?;
        if self.binding.iter().any(|(name, value)| members.get(name) != Some(value)) {
            return Err(SnapshotError::External);
        }
        let set = members.get("set").and_then(Value::as_str).ok_or(SnapshotError::Damaged)?;
        let confirmed_at = members.get("confirmed_at_ms").and_then(Value::as_i64).ok_or(SnapshotError::Damaged)?;
        let etag = members.get("etag").and_then(Value::as_str).and_then(|etag| etag.parse().ok());
        let confirmed_at = Timestamp::from_millis(confirmed_at);
        Ok(Some(Snapshot { set: Bytes::copy_from_slice(set.as_bytes()), etag, confirmed_at }))
    }

    /// Puts `snapshot` in its place: a reader finds the old one or all of the new one. It is on the
    /// disk when this returns. Mode 0600, in a folder of mode 0700 that is made if need be.
    pub(super) fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let set = std::str::from_utf8(&snapshot.set).map_err(io::Error::other)?;
        let mut members = self.binding.clone();
        members.insert("confirmed_at_ms".to_owned(), snapshot.confirmed_at.as_millis().into());
        // An ETag that is no text is let go of: the next fetch is then unconditional.
        if let Some(etag) = snapshot.etag.as_ref().and_then(|etag| etag.to_str().ok()) {
            members.insert("etag".to_owned(), etag.into());
        }
        members.insert("set".to_owned(), set.into());
        let unfinished = self.path.with_added_extension(format!("{}.new", hex(&random::bytes::<8>())));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        let renamed = file
            .write_all(Value::Object(members).to_string().as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&unfinished, &self.path));
        if renamed.is_err() {
            // What matters is why it failed; the leftover is not read by anyone.
            let _ = fs::remove_file(&unfinished);
        }
        renamed.and_then(|()| File::open(folder)?.sync_all())
    }

    /// Takes it away, if there is one: the issuer does not want its set on a disk.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::settings::Source;

    fn issuer(name: &str, issuer: &str, url: &str) -> (IssuerSettings, Jwks) {
        let jwks = Jwks::new(url.parse().unwrap());
        let settings = IssuerSettings {
            name: name.parse().unwrap(),
            issuer: issuer.to_owned(),
            audiences: vec!["api".to_owned()],
            claims: crate::rules::profile::ClaimMapping::default(),
            leeway: std::time::Duration::ZERO,
            algorithms: IssuerSettings::ALGORITHMS_DEFAULT.to_vec(),
            source: Source::Jwks(jwks.clone()),
        };
        (settings, jwks)
    }

    fn file(folder: &Path, name: &str, iss: &str, url: &str) -> SnapshotFile {
        let (settings, jwks) = issuer(name, iss, url);
        SnapshotFile::new(folder, &settings, &jwks)
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            set: Bytes::from_static(b"{\"keys\":[\n\"\\u0000\xc3\xb1\"]}"),
            etag: Some(HeaderValue::from_static("W/\"1\"")),
            confirmed_at: Timestamp::from_millis(1_789_000_000_123),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_only_for_the_same_issuer() {
        let folder = crate::memory::new_folder();
        let issuers = folder.path().join("issuers");
        let own = file(&issuers, "corp", "https://i", "https://i/jwks");
        assert!(matches!(own.read(), Ok(None)));
        own.write(&snapshot()).unwrap();
        assert_eq!(own.read().unwrap(), Some(snapshot()));
        let without = Snapshot { etag: None, ..snapshot() };
        own.write(&without).unwrap();
        assert_eq!(own.read().unwrap(), Some(without));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&own.path), mode(&issuers)), (0o600, 0o700));
        assert_eq!(fs::read_dir(&issuers).unwrap().count(), 1, "nothing is left beside it");

        for (iss, url) in [("https://j", "https://i/jwks"), ("https://i", "https://i/other")] {
            assert!(matches!(file(&issuers, "corp", iss, url).read(), Err(SnapshotError::External)));
        }
        fs::copy(&own.path, issuers.join("other.json")).unwrap();
        let other = file(&issuers, "other", "https://i", "https://i/jwks");
        assert!(matches!(other.read(), Err(SnapshotError::External)));
        own.remove().unwrap();
        own.remove().unwrap();
        assert!(matches!(own.read(), Ok(None)));
    }

    #[test]
    fn a_damaged_or_exposed_one_is_said() {
        let folder = crate::memory::new_folder();
        let own = file(folder.path(), "corp", "https://i", "https://i/jwks");
        own.write(&snapshot()).unwrap();
        let good = fs::read(&own.path).unwrap();
        for end in [0, 1, good.len() / 2, good.len() - 1] {
            fs::write(&own.path, &good[..end]).unwrap();
            assert!(matches!(own.read(), Err(SnapshotError::Damaged)), "{end}");
        }
        for member in ["set", "confirmed_at_ms"] {
            let mut members = parse_object(&good).unwrap();
            members.insert(member.to_owned(), json!([]));
            fs::write(&own.path, Value::Object(members).to_string()).unwrap();
            assert!(matches!(own.read(), Err(SnapshotError::Damaged)), "{member}");
        }
        fs::write(&own.path, &good).unwrap();
        fs::set_permissions(&own.path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(own.read(), Err(SnapshotError::Exposed(0o620))));
    }
}
