//! How far a long command is, on standard error: a bar that is drawn again on a terminal, and otherwise a line now and
//! then.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Times that the bar is drawn in a second, at most.
const DRAWN_A_SECOND: u8 = 5;

/// Lines of a log between the beginning and the end, at most.
const LINES_MAX: u64 = 50;

/// A bar, or lines.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    /// What was told last without a terminal: the stage, and the fiftieth of the way.
    told: Option<(String, u64)>,
}

impl Progress {
    /// Of a command that has nothing to say yet.
    pub(super) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWN_A_SECOND));
            let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, told: None }
    }

    /// Shows how far it is, of so much as far as that is known; `text` says it in words. A stage has a line at least.
    pub(super) fn at(&mut self, stage: &str, position: u64, of: Option<u64>, text: &str) {
        if let Some(bar) = &self.bar {
            match of {
                Some(of) => bar.set_length(of),
                None => bar.unset_length(),
            }
            bar.set_message(text.to_owned());
            bar.set_position(position);
            return;
        }
        // Without an end to count down to, a line each time that the way has doubled.
        let part = match of {
            Some(of) => (position * LINES_MAX).checked_div(of).unwrap_or(LINES_MAX),
            None => u64::from(position.max(1).ilog2()),
        };
        let is_told = self.told.as_ref().is_some_and(|(told, at)| told == stage && *at == part);
        if !is_told {
            self.told = Some((stage.to_owned(), part));
            self.line(text);
        }
    }

    /// Says something that stays.
    pub(super) fn line(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(text)),
            None => write(text),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn write(text: &str) {
    // The reader of the output may go away.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
