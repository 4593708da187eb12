//! `tidefs gc`.

use engine::{Collected, CollectionAction, CollectionPlan};

use super::arguments::GcCommand;
use super::place::Place;
use super::status::tier_name;
use super::table::{bytes, numbers};
use super::{Failure, print, print_json};
use crate::config::Surroundings;

pub(super) async fn run(command: GcCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let GcCommand { target, dry_run } = command;
    let place = Place::find(target, surroundings).await?;
    let mut tables = Vec::new();
    let mut values = Vec::new();
    for id in &place.file_systems {
        let path = format!("/v1/file-systems/{id}/gc");
        if dry_run {
            let plan: CollectionPlan = place.client.get(&path).await?;
            tables.push(format!("{id}\n\n{}", plan_table(&plan)));
            values.push(serde_json::json!({ "id": id, "plan": plan }));
        } else {
            let collected: Collected = place.client.post(&path, &serde_json::json!({})).await?;
            tables.push(format!("{id}: {}", summary(&collected)));
            values.push(serde_json::json!({ "id": id, "collected": collected }));
        }
    }
    match (place.json, values.as_slice()) {
        (true, [only]) => print_json(only),
        (true, several) => print_json(&serde_json::json!({ "file_systems": several })),
        (false, _) => print(&tables.join("\n\n")),
    }
}

fn plan_table(plan: &CollectionPlan) -> String {
    let tiers = plan.tiers.iter().map(|tier| {
        let garbage = tier.stored_bytes.saturating_sub(tier.live_bytes);
        vec![
            tier_name(tier.tier).to_owned(),
            bytes(tier.live_bytes),
            bytes(tier.stored_bytes),
            bytes(garbage),
        ]
    });
    let tiers = numbers(&["TIER", "LIVE", "STORED", "GARBAGE"], tiers.collect());
    if plan.segments.is_empty() {
        return format!("{tiers}\n\nNothing is to be collected.");
    }
    let segments = plan.segments.iter().map(|segment| {
        vec![
            segment.id.clone(),
            tier_name(segment.tier).to_owned(),
            bytes(segment.live_bytes),
            bytes(segment.stored_bytes),
            action(segment.action).to_owned(),
        ]
    });
    let segments = numbers(&["SEGMENT", "TIER", "LIVE", "STORED", "WOULD BE"], segments.collect());
    format!("{tiers}\n\n{segments}\n\nAbout {} requests to the object store.", plan.requests)
}

fn action(action: CollectionAction) -> &'static str {
    match action {
        CollectionAction::Delete => "deleted: nothing refers to it",
        CollectionAction::Rewrite => "rewritten: too much garbage",
    }
}

fn summary(collected: &Collected) -> String {
    format!(
        "{} segments rewritten ({}), {} deleted ({})",
        collected.rewritten_segments,
        bytes(collected.rewritten_bytes),
        collected.deleted_segments,
        bytes(collected.deleted_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{PlannedSegment, Tier, TierGarbage};

    #[test]
    fn a_plan_names_each_segment_and_why() {
        let tier = TierGarbage { tier: Tier::Standard, live_bytes: 10 << 20, stored_bytes: 16 << 20 };
        let empty = CollectionPlan { tiers: vec![tier], segments: Vec::new(), requests: 0 };
        assert!(plan_table(&empty).ends_with("Nothing is to be collected."));
        let segment = PlannedSegment {
            id: "0123".to_owned(),
            tier: Tier::InfrequentAccess,
            live_bytes: 0,
            stored_bytes: 1 << 20,
            action: CollectionAction::Delete,
        };
        let table = plan_table(&CollectionPlan { segments: vec![segment], requests: 1, ..empty });
        for text in ["6.0 MiB", "0123", "deleted: nothing refers to it", "About 1 requests"] {
            assert!(table.contains(text), "{table}");
        }
    }
}
