//! The names that the sources and the commands give, against `tests/surface`.

use crate::{REASONS, commands, snapshot::assert_surface, sources};

#[test]
fn surface_of_the_config() {
    assert_surface("config_keys.txt", sources::config_keys());
}

#[test]
fn surface_of_the_metrics() {
    assert_surface("metric_names.txt", sources::metrics());
}

#[test]
fn surface_of_the_events() {
    assert_surface("events.txt", sources::events());
}

#[test]
fn surface_of_the_reasons() {
    assert_surface("reasons.txt", sources::names_of(&REASONS));
}

#[test]
fn surface_of_the_commands() {
    assert_surface("commands.txt", commands::helps().iter().flat_map(|help| help.lines()));
}
