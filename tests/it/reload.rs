//! A changed config is taken over when somebody asks for it, or by itself.

use std::{fs, os::unix::fs::symlink};

use crate::support::{Authority, Config, Folder, Gateway, PATIENCE, Port, Secured, Upstream, get, post, wait_until};

const WATCHED: &str = "[reload]\nwatch = true\n";

fn count(gateway: &Gateway, outcome: &str) -> u64 {
    let name = format!("portero_config_reload_total{{outcome=\"{outcome}\"}} ");
    let metrics = gateway.ask("/metrics").text();
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

#[test]
fn who_asks_for_a_reload_hears_what_came_of_it() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.start();
    let changed = config.clone().route("new", "/new", "auth = \"public\"");
    changed.clone().server("threads = 7").text("[cache]\nentries = 9\n").write_to(&gateway.folder);
    let ran = gateway.asked("reload");
    ran.succeeded();
    assert!(ran.stdout.contains("needed for: server.threads, cache.entries"), "{ran:?}");
    assert_eq!(gateway.send(&get("/new")).status, 200, "in force when the command ends");
    let answer = gateway.asked("reload --output json").json();
    assert_eq!(answer["needs_restart"][0], "server.threads");

    changed.text("[[routes]]\nname = \"broken\"\n").write_to(&gateway.folder);
    let ran = gateway.asked("reload");
    assert!(ran.code == 1 && ran.stderr.contains("gateway.toml:"), "{ran:?}");
    let request = post("/api/v1/reload", "{}").header("Host", "localhost").bearer(&gateway.admin_token());
    let answer = crate::support::Connection::open(gateway.admin).send(&request);
    assert!(answer.status == 409 && answer.text().contains("gateway.toml:"), "{}", answer.text());
    assert_eq!(gateway.send(&get("/new")).status, 200, "the old one stays in force");
    assert_eq!((count(&gateway, "success"), count(&gateway, "failure")), (2, 1));
    let stranger = post("/api/v1/reload", "{}").header("Host", "localhost").bearer("x");
    assert_eq!(crate::support::Connection::open(gateway.admin).send(&stranger).status, 401);
}

#[test]
fn a_command_without_a_gateway_says_so() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address).start();
    gateway.process.signal("TERM");
    let Gateway { process, folder, .. } = gateway;
    process.finish().succeeded();
    // Its own port may be somebody else's by now.
    let nobody = Port::hold();
    let ran = folder.command(&format!("reload --admin 127.0.0.1:{}", nobody.number), "");
    assert!(ran.code == 2 && ran.stderr.contains("no gateway answers"), "{ran:?}");
}

#[test]
fn a_watched_file_is_taken_over_however_it_is_replaced() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).text(WATCHED);
    let gateway = config.start();
    let with = |path: &str| config.clone().route("new", path, "auth = \"public\"").toml();
    let file = gateway.folder.config();
    let is_there = |path: &str| wait_until(path, PATIENCE, || gateway.send(&get(path)).status == 200);
    fs::write(&file, with("/written")).unwrap();
    is_there("/written");

    // As editors do.
    let other = gateway.folder.file("gateway.toml.swp");
    fs::write(&other, with("/renamed")).unwrap();
    fs::rename(&other, &file).unwrap();
    is_there("/renamed");

    // The same again is no change, and a bad one is refused.
    fs::write(&file, with("/renamed")).unwrap();
    gateway.process.event("the config's files are as they were");
    let (successes, failures) = (count(&gateway, "success"), count(&gateway, "failure"));
    fs::write(&file, "[[routes]]").unwrap();
    // Half of what is written may be seen, too.
    wait_until("the bad file is seen", PATIENCE, || count(&gateway, "failure") > failures);
    assert_eq!(gateway.send(&get("/renamed")).status, 200);
    assert!(count(&gateway, "success") >= successes);
    fs::write(&file, with("/again")).unwrap();
    is_there("/again");

    // Not watched any more: only who asks is heard.
    fs::write(&file, with("/last").replace("watch = true", "watch = false")).unwrap();
    is_there("/last");
    fs::write(&file, with("/asked")).unwrap();
    gateway.asked("reload").succeeded();
    assert_eq!(gateway.send(&get("/asked")).status, 200);
}

#[test]
fn a_volume_whose_link_is_turned_is_taken_over() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).text(WATCHED);
    let folder = config.with_accounts();
    // As Kubernetes mounts a ConfigMap: gateway.toml → ..data/gateway.toml, ..data → ..1.
    let turn = |generation: &str, text: &str| {
        fs::create_dir(folder.file(generation)).unwrap();
        fs::write(folder.file(generation).join("gateway.toml"), text).unwrap();
        symlink(generation, folder.file("..tmp")).unwrap();
        fs::rename(folder.file("..tmp"), folder.file("..data")).unwrap();
    };
    turn("..1", &config.toml());
    fs::remove_file(folder.config()).unwrap();
    symlink("..data/gateway.toml", folder.config()).unwrap();
    let path = folder.path().to_owned();
    let gateway = Gateway::run(folder);
    for (generation, route) in [("..2", "/second"), ("..3", "/third")] {
        let text = config.clone().route("new", route, "auth = \"public\"").toml();
        fs::create_dir(path.join(generation)).unwrap();
        fs::write(path.join(generation).join("gateway.toml"), text).unwrap();
        symlink(generation, path.join("..tmp")).unwrap();
        fs::rename(path.join("..tmp"), path.join("..data")).unwrap();
        wait_until(route, PATIENCE, || gateway.send(&get(route)).status == 200);
    }
}

#[test]
fn a_renewed_certificate_is_taken_over_by_itself() {
    let (upstream, authority, other) = (Upstream::start(), Authority::new(), Authority::new());
    let listen = "listen = [{ address = \"127.0.0.1:0\", tls = [{ certificate = \"a.pem\", key = \"a.key\" }] }]";
    let folder = Folder::new();
    authority.write(&folder, "ca");
    other.write(&folder, "other");
    authority.issue(&folder, "a", "a.test");
    let config = Config::standard(upstream.address).server(listen).text(WATCHED);
    let gateway = Gateway::run(config.with_accounts_in(folder));
    let trusting = |authority: &str| {
        let secured = Secured::new(gateway.front, "a.test", &gateway.folder.file(&format!("{authority}.pem")));
        secured.connect()
    };
    let mut old = trusting("ca").unwrap();
    assert_eq!(old.status("/public"), 200);
    assert!(trusting("other").is_err());
    other.issue(&gateway.folder, "a", "a.test");
    wait_until("the next handshake has it", PATIENCE, || {
        trusting("other").is_ok_and(|mut new| new.status("/public") == 200)
    });
    assert!(trusting("ca").is_err());
    assert_eq!(old.status("/public"), 200, "what is open stays");
}

#[test]
fn a_refused_config_is_taken_over_once_what_it_lacks_is_there() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address).text(WATCHED);
    let gateway = config.start();
    let tls = "upstream = \"tls\"\nauth = \"public\"";
    let changed =
        config.upstream("tls", &[upstream.address]).text("tls = { ca = \"new.pem\" }").route("new", "/new", tls);
    changed.write_to(&gateway.folder);
    wait_until("it is refused", PATIENCE, || count(&gateway, "failure") == 1);
    Authority::new().write(&gateway.folder, "new");
    // The service speaks no TLS.
    wait_until("it is taken over", PATIENCE, || gateway.send(&get("/new")).status == 502);
}
