//! What imported keys are still used for.

use serde_json::{Value, json};

use super::status::{Section, Verdicts};
use crate::{
    cli::output::{CliError, table},
    decision::{AdminService, admin::migration::KeyUse},
};

pub(super) async fn section(admin: &AdminService) -> Result<Section, CliError> {
    let uses = admin.key_uses().await?;
    let text = if uses.is_empty() {
        "no imported key takes tokens".to_owned()
    } else {
        let rows: Vec<_> = uses.iter().map(row).collect();
        table(["IMPORTED KEY", "REALM", "1 DAY", "7 DAYS", "30 DAYS", "WHAT FOLLOWS"], &rows)
    };
    let mut verdicts = Verdicts::default();
    for used in &uses {
        let (id, realm) = (&used.key.id, &used.key.realm);
        let list = if can_retire(used) { &mut verdicts.off } else { &mut verdicts.breaks };
        list.push(format!("imported key {id} of realm {realm}: {}", follows(used)));
    }
    Ok(Section { verdicts, text, members: vec![("keys", uses.iter().map(member).collect())] })
}

fn row(used: &KeyUse) -> [String; 6] {
    let [day, week, month] = used.tokens.map(|tokens| tokens.to_string());
    [used.key.id.to_string(), used.key.realm.to_string(), day, week, month, follows(used).to_owned()]
}

fn can_retire(used: &KeyUse) -> bool {
    used.tokens == [0, 0, 0]
}

/// A gateway counts each token once for as long as it remembers it.
const fn follows(used: &KeyUse) -> &'static str {
    match used.tokens {
        [0, 0, 0] => "no token of it was seen for 30 days: it can be retired",
        [0, 0, _] => "its last tokens were seen more than 7 days ago",
        _ => "clients still bring its tokens: they would get 401",
    }
}

fn member(used: &KeyUse) -> Value {
    let [day, week, month] = used.tokens;
    json!({
        "kid": used.key.id.as_str(),
        "realm": used.key.realm.as_str(),
        "tokens": { "1": day, "7": week, "30": month },
        "can_retire": can_retire(used),
        "follows": follows(used),
    })
}
