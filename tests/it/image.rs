//! The image's last stage, as a folder: what lies in it, and the gateway running in it as it runs in a container, by
//! another user, on a root that nobody can write to. `deploy/rootfs` makes it, here as in the Dockerfile.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Config, Folder, Gateway, PATIENCE, Process, Upstream, get, wait_until};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// The image's user. It is the same in the Dockerfile, and in what deploys it.
const USER: &str = "65532";

/// Says that this machine forbids namespaces to users, so that the sandbox is left out knowingly.
const WITHOUT_NAMESPACES: &str = "PORTERO_WITHOUT_NAMESPACES";

/// Every file, beside the libraries that the binary needs.
const FILES: [&str; 5] =
    ["etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/local/bin/portero"];

/// The C library's parts; the loader's name ends with the machine's.
const LIBRARIES: [&str; 4] = ["ld-linux-", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];

/// What is mounted on, or is there to be written.
const EMPTY_FOLDERS: [&str; 5] = ["data", "dev", "etc/portero", "proc", "sys"];

fn root_in(folder: &Folder) -> PathBuf {
    let root = folder.file("root");
    let mut command = Command::new(format!("{DEPLOY}/rootfs"));
    let ran = command.arg(env!("CARGO_BIN_EXE_portero")).arg(&root).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    root
}

#[test]
fn the_image_holds_the_gateway_and_what_it_needs_and_no_shell() {
    let folder = Folder::new();
    let root = root_in(&folder);
    let (mut files, mut libraries, mut empty) = (BTreeSet::new(), vec![], BTreeSet::new());
    collect(&root, &mut |path, is_file| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        // Nobody gets another user's rights by a program, and nobody may write but to /data.
        assert!(mode & 0o6022 == 0 || name == "data", "{name}: {mode:o}");
        match is_file {
            true if name.starts_with("lib") || name.starts_with("usr/lib") => libraries.push(name),
            true => drop(files.insert(name)),
            false => drop(empty.insert(name)),
        }
    });
    assert_eq!(files, FILES.map(str::to_owned).into());
    assert_eq!(empty, EMPTY_FOLDERS.map(str::to_owned).into());
    for library in LIBRARIES {
        let found = libraries.iter().position(|path| path.rsplit('/').next().unwrap().starts_with(library));
        libraries.remove(found.unwrap_or_else(|| panic!("{library} is missing")));
    }
    assert!(libraries.is_empty(), "{libraries:?}");
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(passwd.starts_with(&format!("portero:x:{USER}:{USER}:")) && passwd.lines().count() == 1, "{passwd}");
    let dockerfile = fs::read_to_string(format!("{DEPLOY}/Dockerfile")).unwrap();
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    for line in ["scratch", "COPY --from=build /rootfs /", &format!("USER {USER}:{USER}")] {
        assert!(last.lines().any(|text| text == line), "'{line}' is not in the last stage");
    }
}

/// Calls for every file, and for every folder without any.
fn collect(folder: &Path, found: &mut impl FnMut(&Path, bool)) {
    let entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    if entries.is_empty() {
        found(folder, false);
    }
    for path in entries {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        assert!(kind.is_file() || kind.is_dir(), "{} is neither file nor folder", path.display());
        if kind.is_dir() { collect(&path, found) } else { found(&path, true) }
    }
}

/// A command in the image's root: its user, nothing to write to but a fresh /data, and a config.
fn contained(root: &Path, config: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new("bwrap");
    // The network stays: the test is the client.
    command.args(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]);
    command.args(["--uid", USER, "--gid", USER, "--cap-drop", "ALL", "--clearenv"]);
    command.arg("--ro-bind").args([root, Path::new("/")]);
    command.arg("--ro-bind").args([config.path(), Path::new("/etc/portero")]);
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/data", "--chdir", "/data"]);
    command.args(["--setenv", "PORTERO_CONFIG", "/etc/portero/gateway.toml", "/usr/local/bin/portero"]);
    command.args(arguments);
    command
}

/// Whether this machine lets a user have namespaces. Where it does not, somebody has to say so.
fn has_namespaces() -> bool {
    let mut probe = Command::new("bwrap");
    let probe = probe.args(["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"]).output();
    let why = match probe {
        Ok(ran) if ran.status.success() => return true,
        Ok(ran) => String::from_utf8_lossy(&ran.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let skipped = env::var_os(WITHOUT_NAMESPACES).is_some();
    assert!(skipped, "bwrap: {why}; where the kernel forbids it, {WITHOUT_NAMESPACES}=1 leaves this test out");
    false
}

#[test]
fn the_gateway_runs_in_the_image_as_another_user_on_a_root_that_cannot_be_written() {
    if !has_namespaces() {
        return;
    }
    let folder = Folder::new();
    let root = root_in(&folder);
    let upstream = Upstream::start();
    let config = Folder::new();
    let data = "[store]\nurl = \"sqlite:/data/portero.db\"\nmaster_key_file = \"/data/master.key\"\n";
    let good = Config::standard(upstream.address).text(data).admin("token_file = \"/data/admin.token\"");
    let ran = |arguments: &[&str]| Process::spawn(&mut contained(&root, &config, arguments), "").finish();

    let version = ran(&["--version"]);
    assert_eq!(version.stdout.trim(), concat!("portero ", env!("CARGO_PKG_VERSION")), "{version:?}");
    good.write_to(&config);
    ran(&["check"]).succeeded();
    // Beside the config nothing can be made, as on any path but /data.
    Config::standard(upstream.address).write_to(&config);
    let refused = ran(&["check"]);
    assert!(refused.code == 2 && refused.stderr.contains("portero.db"), "{refused:?}");

    good.write_to(&config);
    let process = Process::spawn_with_successors(&mut contained(&root, &config, &["run"]));
    let gateway = Gateway::of(process, config);
    wait_until("it is ready", PATIENCE, || gateway.ask("/health/ready").status == 200);
    assert_eq!(gateway.send(&get("/public")).text(), "upstream");
    // Its own process is the sandbox's last.
    let id = gateway.process.descendants().pop().unwrap();
    let mounts = fs::read_to_string(format!("/proc/{id}/mountinfo")).unwrap();
    let of_root: Vec<_> = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/")).collect();
    assert!(
        !of_root.is_empty() && of_root.iter().all(|line| line.split(' ').nth(5).unwrap().starts_with("ro")),
        "{mounts}"
    );
    let users = fs::read_to_string(format!("/proc/{id}/uid_map")).unwrap();
    assert_eq!(users.split_whitespace().next(), Some(USER), "it has this user alone");
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
}
