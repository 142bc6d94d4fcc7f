//! An explanation for people: one step a line.

use serde_json::Value;

/// The lines of an explanation, the last without its newline.
pub(super) fn lines(explained: &Value) -> String {
    let steps = explained["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let width = steps.iter().map(|step| text(&step["step"]).len()).max().unwrap_or(0);
    let mut lines = vec![];
    let mut last = String::new();
    for step in steps {
        let mark = match step["outcome"].as_str() {
            Some("passed") => '✓',
            Some("failed") => '✗',
            _ => '·',
        };
        let name = text(&step["step"]);
        // What is noted about the step above needs no name of its own.
        let shown = if mark == '·' && name == last { "" } else { &name };
        let reason = step["reason"].as_str().map(|reason| format!(" [{reason}]")).unwrap_or_default();
        lines.push(format!("{mark} {shown:width$}  {}{reason}", text(&step["text"])));
        last = name;
    }
    lines.push(format!("→ {}", verdict(explained)));
    let forwards = &explained["forwards"];
    if forwards.is_object() {
        let servers = forwards["servers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let servers = servers.iter().map(text).collect::<Vec<_>>().join(", ");
        lines.push(format!("  to {} ({servers}), path {}", text(&forwards["upstream"]), text(&forwards["path"])));
        lines.push(format!("  the client's token, if any, is {}", text(&forwards["token"])));
        let headers = forwards["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
        lines.extend(headers.iter().map(|header| format!("  {}: {}", text(&header[0]), text(&header[1]))));
    }
    lines.join("\n")
}

fn verdict(explained: &Value) -> String {
    let reason = explained["reason"].as_str().unwrap_or_default();
    let route = explained["route"].as_str().unwrap_or_default();
    match explained["decision"].as_str() {
        Some("forward") => format!("forwarded through '{route}': {reason}"),
        Some("shadow") => format!("forwarded through '{route}', in shadow mode only: {reason}"),
        Some("endpoint") => format!("answered by the token endpoint {route}"),
        Some("preflight") => format!("a browser's question about '{route}', answered by the gateway"),
        Some("undecided") => "undecided: without keys no token can be checked; ask the running gateway".to_owned(),
        _ => format!("denied with {}: {reason}", explained["status"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_aligned_and_the_verdict_comes_last() {
        let explained = json!({
            "decision": "deny", "reason": "no_route", "status": 404, "route": null, "forwards": null,
            "steps": [
                { "step": "path", "outcome": "passed", "text": "/a" },
                { "step": "route", "outcome": "failed", "text": "none", "reason": "no_route" },
                { "step": "route", "outcome": "noted", "text": "more" },
            ],
        });
        let expected = "✓ path   /a\n✗ route  none [no_route]\n·        more\n→ denied with 404: no_route";
        assert_eq!(lines(&explained), expected);
    }
}
