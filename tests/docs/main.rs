//! Holds the pages against the code: every config key, metric, event, reason and command stands in its page, what the
//! pages list exists, and every link leads somewhere.
//!
//! Where this fails, it names the page and the word that is missing there.

#![expect(clippy::unwrap_used, reason = "a test fails where something it needs is missing")]

mod commands;
mod contracts;
mod pages;
#[path = "../surface/snapshot.rs"]
mod snapshot;
mod sources;
mod surface;

use std::collections::BTreeSet;

use pages::Page;

/// Types whose `name` is a word of the access log and of metrics.
const REASONS: [&str; 3] = ["Reason", "RejectionKind", "OAuthError"];

/// Rows of the metrics' table that are not ours: a library's, all with this prefix.
const EXTERNAL_METRICS: &str = "process_";

/// Characters of a line of prose, in a page or in a comment. Tables and code may be wider.
const WIDTH_MAX: usize = 120;

type Words = BTreeSet<String>;

#[test]
fn every_config_key_stands_in_its_page() {
    let keys = sources::config_keys();
    assert!(keys.len() > 100, "only {} keys were found", keys.len());
    let page = Page::read("docs/config.md");
    assert_documented("config key", &keys, &page, &page.words_of_tables());
}

#[test]
fn every_metric_stands_in_its_page_and_the_page_lists_no_other() {
    let metrics = sources::metrics();
    assert!(metrics.len() > 20, "only {} metrics were found", metrics.len());
    let page = Page::read("docs/observability.md");
    let listed = page.first_column("Metrics", pages::code_spans);
    assert_documented("metric", &metrics, &page, &listed);
    let ours = listed.into_iter().filter(|name| !name.starts_with(EXTERNAL_METRICS)).collect();
    assert_exists("metric", &ours, &page, &metrics);
}

#[test]
fn every_event_stands_in_its_page_and_the_page_lists_no_other() {
    let events = sources::events();
    assert!(events.len() > 30, "only {} events were found", events.len());
    let page = Page::read("docs/observability.md");
    let listed = page.first_column("Events", |cell| cell.split(" · ").map(str::to_owned).collect());
    assert_documented("event", &events, &page, &listed);
    assert_exists("event", &listed, &page, &events);
}

#[test]
fn every_reason_stands_in_its_page() {
    let reasons = sources::names_of(&REASONS);
    assert!(reasons.len() > 40, "only {} reasons were found", reasons.len());
    let page = Page::read("docs/observability.md");
    assert_documented("reason", &reasons, &page, &page.words());
}

#[test]
fn every_step_of_a_decision_stands_in_its_page_and_the_page_lists_no_other() {
    let steps = sources::steps();
    assert!(steps.len() > 15, "only {} steps were found", steps.len());
    let page = Page::read("docs/explain.md");
    let mut listed = page.code_of_paragraph("`step` is one of");
    listed.remove("step");
    assert_documented("step", &steps, &page, &listed);
    assert_exists("step", &listed, &page, &steps);
}

#[test]
fn every_command_stands_in_the_readme_and_every_option_in_a_page() {
    let (commands, options) = commands::all();
    assert!(commands.len() > 20, "only {} commands were found", commands.len());
    let readme = Page::read("README.md");
    assert_documented("command", &commands, &readme, &readme.words());
    let everywhere = pages::all().iter().flat_map(Page::options).collect();
    assert_documented("option", &options, &readme, &everywhere);
}

#[test]
fn every_link_leads_somewhere() {
    let broken: Vec<_> = pages::all().iter().flat_map(Page::broken_links).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn prose_is_as_wide_as_an_editor_shows_it() {
    let wide: Vec<_> = pages::all().iter().flat_map(Page::wide_lines).chain(sources::wide_comments()).collect();
    assert!(wide.is_empty(), "wider than {WIDTH_MAX} characters:\n{}\n", wide.join("\n"));
}

#[track_caller]
fn assert_documented(what: &str, code: &Words, page: &Page, listed: &Words) {
    let missing = code.difference(listed).map(|word| format!("{}: the {what} `{word}` is missing", page.path()));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[track_caller]
fn assert_exists(what: &str, listed: &Words, page: &Page, code: &Words) {
    let dead = listed.difference(code).map(|word| format!("{}: no {what} is called `{word}`", page.path()));
    let dead: Vec<_> = dead.collect();
    assert!(dead.is_empty(), "\n{}\n", dead.join("\n"));
}
