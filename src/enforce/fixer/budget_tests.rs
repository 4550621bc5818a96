use serde_json::json;
use tokio::time::sleep;

use super::tests::{SECOND, World, named};
use crate::enforce::contest::Contests;

#[tokio::test(start_paused = true)]
async fn who_has_used_up_a_budget_does_not_even_read() {
    for (mode, sent) in [("Enforce", "PATCH"), ("Plan", "PATCH dry")] {
        let world = World::new(mode, true);
        for round in 0..5 {
            world.fixer.memory.lock().contests = Contests::default();
            world.server.object.lock()["data"] = json!({"a": format!("bad {round}")});
            assert_eq!(world.fix().await, ["GET", sent]);
        }
        world.change(&json!({"data": {"a": "worse"}}));
        assert_eq!(world.fix().await, [""; 0], "{mode}");
        assert_eq!(world.outcome(), "Throttled");
        sleep(SECOND * 61).await;
        assert_eq!(world.server.log(), ["GET", sent], "{mode}: once there is some left");
    }
}

#[tokio::test(start_paused = true)]
async fn all_policies_together_send_no_more_in_a_second_than_they_may() {
    for (mode, sent) in [("Enforce", "PATCH"), ("Plan", "PATCH dry")] {
        let of_member = |member: &str| {
            let path = format!("$.data.{member}");
            let rule =
                json!({"name": member, "path": path, "assert": {"equals": "good"}, "fix": {"set": "good"}});
            named(member, mode, &rule, &json!({}))
        };
        let policies = ["a", "b", "c", "d", "e"].map(of_member);
        let world = World::at_most(2, policies.into(), true, &json!({}));
        let count = |asked: Vec<String>| asked.iter().filter(|asked| *asked == sent).count();
        assert_eq!(count(world.fix().await), 2, "{mode}");
        sleep(SECOND).await;
        assert_eq!(count(world.server.log()), 2, "{mode}");
        sleep(SECOND).await;
        assert_eq!(count(world.server.log()), 1, "{mode}");
    }
}
