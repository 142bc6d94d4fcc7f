//! A file system that is soon full.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// The largest one: filling everybody's disk would be a disaster.
pub(crate) const BYTES_MAX: u64 = 64 << 20;

/// A file system of its own, which `fill` fills. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of so many bytes at `path`, where nothing is yet. `None` where this user may not mount one: that takes root,
    /// in a container with the right to mount.
    pub(crate) fn at(path: PathBuf, bytes: u64) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        mount(&path, bytes).then_some(Self(path))
    }

    /// Leaves not one byte free.
    pub(crate) fn fill(&self) {
        fill(&self.0);
    }

    /// Frees what `fill` took.
    pub(crate) fn free(&self) {
        free(&self.0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It goes with the folder's last user.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// Mounts one in a folder that somebody else unmounts. False where this user may not.
pub(crate) fn mount(folder: &Path, bytes: u64) -> bool {
    assert!(bytes <= BYTES_MAX);
    let size = format!("size={bytes}");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
    mount.is_ok_and(|mount| mount.status.success())
}

/// Leaves not one byte free in the file system of `folder`. What is written within files that it has may still succeed.
pub(crate) fn fill(folder: &Path) {
    let disk = rustix::fs::statvfs(folder).unwrap();
    assert!(disk.f_blocks * disk.f_frsize <= BYTES_MAX, "this would fill everybody's disk");
    let mut ballast = File::create(ballast(folder)).unwrap();
    let filled = std::iter::repeat_with(|| ballast.write_all(&[0; 4096])).find_map(Result::err).unwrap();
    assert_eq!(filled.kind(), ErrorKind::StorageFull);
}

/// Frees what `fill` took.
pub(crate) fn free(folder: &Path) {
    fs::remove_file(ballast(folder)).unwrap();
}

fn ballast(folder: &Path) -> PathBuf {
    folder.join("ballast")
}
