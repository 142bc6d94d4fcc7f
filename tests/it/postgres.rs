//! PostgreSQL in the tests' hands: what a test breaks is broken, what it heals is whole, and nothing stays behind.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write, stdin},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::runtime::Builder;

use crate::support::{Deadline, Link, PATIENCE, Postgres, Replication, wait_until};

/// Asks PostgreSQL for TLS, which it answers with one byte: the shortest exchange that there is.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

fn open(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream) {
    stream.write_all(&SSL_REQUEST).unwrap();
}

#[track_caller]
fn is_answered(stream: &mut TcpStream) {
    // An error is an answer, too: a second request on a connection is one.
    stream.read_exact(&mut [0]).unwrap();
}

#[track_caller]
fn has_no_answer(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
}

#[track_caller]
fn has_ended(stream: &mut TcpStream) {
    // Octets that it did not read make it an error.
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}

fn refuses(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Writes a table that the queries of a test count.
fn write(postgres: &Postgres) {
    postgres.execute("CREATE TABLE written AS SELECT generate_series(1, 1000) AS number");
}

fn written(postgres: &Postgres) -> i64 {
    postgres.count("SELECT count(*) FROM written")
}

#[test]
fn postgres_keeps_its_data_when_it_is_stopped_and_when_it_is_killed() {
    let postgres = Postgres::start();
    write(&postgres);
    postgres.stop();
    assert!(refuses(postgres.port()));
    postgres.start_again();
    assert_eq!(written(&postgres), 1000);
    postgres.execute("INSERT INTO written VALUES (1001)");
    postgres.kill();
    assert!(refuses(postgres.port()));
    postgres.start_again();
    assert_eq!(written(&postgres), 1001);
    assert!(postgres.log().contains("not properly shut down"), "{}", postgres.log());
}

#[test]
fn postgres_has_a_role_without_privileges_parameters_to_set_and_connections_to_end() {
    let postgres = Postgres::start_durable();
    assert_eq!(postgres.text("SHOW fsync"), "on");
    assert_eq!(postgres.text("SELECT rolsuper::text FROM pg_roles WHERE rolname = 'portero'"), "false");
    postgres.set("lock_timeout", "7s");
    assert_eq!(postgres.text("SHOW lock_timeout"), "7s");

    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let options = postgres.url().parse::<PgConnectOptions>().unwrap().password(Postgres::password());
    let mut connection = runtime.block_on(options.connect()).unwrap();
    let mut runs = |sql| runtime.block_on(sqlx::raw_sql(sql).execute(&mut connection)).is_ok();
    assert!(runs("CREATE TABLE its_own AS SELECT 1"));
    assert_eq!(postgres.terminate_connections(), 1);
    assert!(!runs("SELECT 1"));
}

#[test]
fn a_frozen_postgres_answers_nobody_until_it_thaws() {
    let postgres = Postgres::start();
    let mut earlier = open(postgres.port());
    postgres.freeze();
    let mut later = open(postgres.port());
    for stream in [&mut earlier, &mut later] {
        ask(stream);
        has_no_answer(stream);
    }
    postgres.thaw();
    for stream in [&mut earlier, &mut later] {
        is_answered(stream);
    }
    postgres.freeze();
    postgres.kill();
    has_ended(&mut earlier);
    postgres.start_again();
}

#[test]
fn a_full_disk_of_postgres_refuses_what_grows_until_it_has_room() {
    let Some(postgres) = Postgres::start_on_small_disk() else {
        eprintln!("this user may not mount a small disk: not tested");
        return;
    };
    write(&postgres);
    postgres.fill_disk();
    assert!(postgres.try_execute("INSERT INTO written SELECT generate_series(1, 1000000)").is_err());
    assert!(postgres.log().contains("No space left on device"), "{}", postgres.log());
    postgres.free_disk();
    postgres.wait_until_ready();
    assert_eq!(written(&postgres), 1000);
}

#[test]
fn a_synchronous_replica_of_postgres_has_every_commit_and_takes_over() {
    let primary = Postgres::start();
    let replica = primary.replica(Replication::Synchronous);
    write(&primary);
    // What is committed is on its disk; it can be read there a moment later.
    replica.wait_until_it_has_all_of(&primary);
    let refused = replica.server.try_execute("INSERT INTO written VALUES (0)").unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    let link = Link::to(&primary);
    primary.kill();
    let promoted = replica.promote();
    link.lead_to(&promoted);
    let mut moved = open(link.port());
    ask(&mut moved);
    is_answered(&mut moved);
    assert_eq!(written(&promoted), 1000);
    promoted.execute("INSERT INTO written VALUES (0)");
}

#[test]
fn a_split_network_has_two_primaries_of_postgres() {
    let primary = Postgres::start();
    let replica = primary.replica(Replication::Asynchronous);
    let (here, there) = (Link::to(&primary), Link::to(&primary));
    write(&primary);
    replica.wait_until_it_has_all_of(&primary);
    replica.isolate(&[&there]);
    primary.execute("INSERT INTO written VALUES (0)");
    let promoted = replica.promote();
    promoted.execute("DELETE FROM written WHERE number < 3");
    assert_eq!([written(&primary), written(&promoted)], [1001, 998]);
    let (mut reaches, mut does_not) = (open(here.port()), open(there.port()));
    ask(&mut does_not);
    ask(&mut reaches);
    is_answered(&mut reaches);
    has_no_answer(&does_not);
}

#[test]
fn a_link_to_postgres_is_cut_drops_silently_delays_and_heals() {
    let postgres = Postgres::start();
    let link = Link::to(&postgres);
    assert_eq!(link.url(), postgres.url().replace(&postgres.port().to_string(), &link.port().to_string()));
    let mut stream = open(link.port());
    ask(&mut stream);
    is_answered(&mut stream);

    link.cut();
    has_ended(&mut stream);
    assert!(refuses(link.port()));
    link.heal();

    let mut earlier = open(link.port());
    ask(&mut earlier);
    is_answered(&mut earlier);
    link.drop_silently();
    let mut later = open(link.port());
    for stream in [&mut earlier, &mut later] {
        ask(stream);
        has_no_answer(stream);
    }
    link.heal();
    for stream in [&mut earlier, &mut later] {
        is_answered(stream);
    }

    let delay = Duration::from_millis(50);
    link.delay(delay);
    let not_before = Deadline::after(2 * delay);
    let mut slow = open(link.port());
    ask(&mut slow);
    is_answered(&mut slow);
    assert!(not_before.left().is_none());
}

#[test]
fn no_process_of_postgres_outlives_a_test_that_is_killed() {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "postgres::waits_with_a_frozen_server_until_it_is_killed"]);
    let mut victim = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = said.find_map(|line| line.strip_prefix("its folder: ").map(PathBuf::from)).unwrap();
    assert!(folder.exists() && !processes_in(&folder).is_empty());
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("its processes and its folder are gone", PATIENCE, || {
        processes_in(&folder).is_empty() && !folder.exists()
    });
}

/// The processes that work in this folder.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().map(|process| process.unwrap().path());
    let works_there = |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    processes.filter(works_there).collect()
}

#[test]
#[ignore = "a part of no_process_of_postgres_outlives_a_test_that_is_killed"]
fn waits_with_a_frozen_server_until_it_is_killed() {
    let postgres = Postgres::start();
    postgres.freeze();
    println!("its folder: {}", postgres.folder().display());
    stdin().read_to_end(&mut Vec::new()).unwrap();
}
