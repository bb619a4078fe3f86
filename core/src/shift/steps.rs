//! The stops on the way from one share to another.

use super::Refusal;

/// The shares that a subset takes one after another, from the one that it has (which is not listed) to the goal. Stops that lie
/// behind it already are skipped, so that an interrupted shift can be given again.
pub fn steps(now: u32, goal: u32, stops: &[u32]) -> Result<Vec<u32>, Refusal> {
    let rises = stops.windows(2).all(|pair| pair[0] < pair[1]);
    let falls = stops.windows(2).all(|pair| pair[0] > pair[1]);
    let example = "for example: --steps 10,25,50";
    if !rises && !falls {
        return Err(
            Refusal::usage("the steps neither rise nor fall from one to the next").hint(example),
        );
    }
    if let Some(stop) = stops.iter().find(|stop| **stop > 100) {
        return Err(Refusal::usage(format!("step {stop} is more than 100")).hint(example));
    }
    let up = goal >= now;
    let beyond = |stop: u32| if up { stop > goal } else { stop < goal };
    if let Some(stop) = stops.iter().find(|stop| beyond(**stop)) {
        return Err(Refusal::usage(format!(
            "step {stop} lies beyond the goal {goal} on the way from {now}"
        )));
    }
    let ahead = |stop: &u32| {
        if up {
            *stop > now && *stop < goal
        } else {
            *stop < now && *stop > goal
        }
    };
    let mut way: Vec<u32> = stops.iter().copied().filter(ahead).collect();
    way.sort_unstable();
    if !up {
        way.reverse();
    }
    way.push(goal);
    Ok(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_lead_to_the_goal() {
        for (now, goal, stops, way) in [
            (0, 50, &[10, 25, 50][..], &[10, 25, 50][..]),
            (0, 100, &[10, 50], &[10, 50, 100]),
            (25, 50, &[10, 25, 40], &[40, 50]),
            (0, 30, &[], &[30]),
            (100, 0, &[50, 10], &[50, 10, 0]),
            (50, 50, &[10], &[50]),
        ] {
            assert_eq!(steps(now, goal, stops).unwrap(), way, "{now} to {goal}");
        }
    }

    #[test]
    fn stops_that_lead_elsewhere_are_refused() {
        for (stops, message) in [
            (
                &[10, 25, 20][..],
                "the steps neither rise nor fall from one to the next",
            ),
            (
                &[10, 10],
                "the steps neither rise nor fall from one to the next",
            ),
            (&[10, 101], "step 101 is more than 100"),
            (
                &[10, 75],
                "step 75 lies beyond the goal 50 on the way from 0",
            ),
        ] {
            assert_eq!(steps(0, 50, stops).unwrap_err().message, message);
        }
    }
}
