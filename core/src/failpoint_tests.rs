use super::armed::{parse, Action, Armed};
use super::Point;

fn armed(point: Point, passing: u64, action: Action) -> Armed {
    Armed { point: point as usize, passing, action }
}

#[test]
fn what_is_armed_is_a_point_a_passing_and_an_action() {
    assert_eq!(parse("").unwrap(), []);
    assert_eq!(parse("MidClaim:1").unwrap(), [armed(Point::MidClaim, 1, Action::Kill)]);
    assert_eq!(
        parse("AfterLoad:12:block,AfterLoad:1:panic,BeforeAck:2:kill").unwrap(),
        [
            armed(Point::AfterLoad, 12, Action::Block),
            armed(Point::AfterLoad, 1, Action::Panic),
            armed(Point::BeforeAck, 2, Action::Kill),
        ]
    );
}

#[test]
fn what_a_test_got_wrong_is_said() {
    for (text, problem) in [
        ("AfterLod:1", "there is no \"AfterLod\"; there are AfterNewFile, "),
        ("afterload:1", "there is no"),
        ("AfterLoad", "does not say at which passing: AfterLoad:1"),
        ("AfterLoad:0", "does not say at which passing"),
        ("AfterLoad:x", "does not say at which passing"),
        ("AfterLoad:1:stop", "should end with :kill, :block or :panic"),
        ("AfterLoad:1:kill:2", "should end with"),
    ] {
        let found = parse(text).unwrap_err();
        assert!(found.contains(problem), "{text}: {found}");
    }
}
