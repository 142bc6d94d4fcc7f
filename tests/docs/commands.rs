//! The command line, as the binary's own help has it.

use std::process::Command;

use super::Words;

/// Every subcommand's name, and every long option.
pub(crate) fn all() -> (Words, Words) {
    let (mut commands, mut options) = (Words::new(), Words::new());
    collect(&[], &mut commands, &mut options, &mut vec![]);
    options.retain(|option| option != "--help" && option != "--version");
    (commands, options)
}

/// The help of every command, each below a line with its words.
pub(crate) fn helps() -> Vec<String> {
    let mut helps = vec![];
    collect(&[], &mut Words::new(), &mut Words::new(), &mut helps);
    helps
}

fn collect(path: &[&str], commands: &mut Words, options: &mut Words, helps: &mut Vec<String>) {
    let ran = Command::new(env!("CARGO_BIN_EXE_portero")).args(path).arg("--help").output().unwrap();
    assert!(ran.status.success(), "{path:?}: {}", String::from_utf8_lossy(&ran.stderr));
    let help = String::from_utf8(ran.stdout).unwrap();
    helps.push(format!("$ portero {} --help\n{help}", path.join(" ")));
    let mut in_commands = false;
    for line in help.lines() {
        if !line.starts_with(' ') {
            in_commands = line == "Commands:";
        } else if in_commands {
            let name = line.strip_prefix("  ").and_then(|line| line.split(' ').next());
            if let Some(name) = name.filter(|name| !name.is_empty() && *name != "help") {
                commands.insert(name.to_owned());
                collect(&[path, &[name]].concat(), commands, options, helps);
            }
        } else if let Some(option) = line.trim_start().split([' ', ',', '=']).find(|word| word.starts_with("--"))
            && line.trim_start().starts_with('-')
        {
            options.insert(option.to_owned());
        }
    }
}
