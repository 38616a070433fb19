//! Unions, intersections and differences of policies.

use snn_hybrid::{End, Error, Policy, Replacement, Spread, apply};
use snn_ir::Graph;
use snn_ir::networks::{ResNet, SmallNet};

fn chosen(graph: &Graph, policy: &Policy) -> Vec<bool> {
    let (_, placement) = apply(graph, policy, &Replacement::default()).unwrap();
    placement.sites.iter().map(|site| !site.spiking).collect()
}

fn union(policies: &[Policy]) -> Policy {
    Policy::Union { policies: policies.to_vec() }
}

fn intersection(policies: &[Policy]) -> Policy {
    Policy::Intersection { policies: policies.to_vec() }
}

fn difference(policy: Policy, without: Policy) -> Policy {
    Policy::Difference { policy: policy.into(), without: without.into() }
}

#[test]
fn they_are_what_the_words_say() {
    let graph = ResNet::default().build();
    let spread = Spread::Random { seed: 2 };
    let parts = [
        Policy::Outer,
        Policy::Alternate,
        Policy::Head,
        Policy::FirstK { k: 7 },
        Policy::Ratio { share: 0.5, spread },
    ];
    for a in &parts {
        for b in &parts {
            let pairs: Vec<(bool, bool)> =
                chosen(&graph, a).into_iter().zip(chosen(&graph, b)).collect();
            let expect = |join: fn((bool, bool)) -> bool| {
                pairs.iter().map(|pair| join(*pair)).collect::<Vec<_>>()
            };
            assert_eq!(chosen(&graph, &union(&[a.clone(), b.clone()])), expect(|(a, b)| a || b));
            assert_eq!(
                chosen(&graph, &intersection(&[a.clone(), b.clone()])),
                expect(|(a, b)| a && b)
            );
            assert_eq!(chosen(&graph, &difference(a.clone(), b.clone())), expect(|(a, b)| a && !b));
        }
    }
}

#[test]
fn they_nest() {
    let graph = SmallNet::default().build();
    // Everything but (stem or head) is the middle; of that, what reads an addition.
    let middle = difference(Policy::All, union(&[Policy::Stem, Policy::Head]));
    assert_eq!(chosen(&graph, &middle), [false, true, true, true, false]);
    let policy = intersection(&[middle, Policy::Outer]);
    assert_eq!(chosen(&graph, &policy), [false, false, true, false, false]);
    assert_eq!(policy.to_string(), "intersection(difference(all, union(stem, head)), outer)");
    assert_eq!(
        policy.explanation(),
        "((every site) but not ((sites with no site upstream) or (sites with no site downstream))) \
         and \
         (sites that read an addition, and those with no site upstream)"
    );
}

#[test]
fn the_inner_sites_are_all_without_the_outer() {
    let graph = ResNet::default().build();
    assert_eq!(
        chosen(&graph, &difference(Policy::All, Policy::Outer)),
        chosen(&graph, &Policy::Inner)
    );
}

#[test]
fn of_nothing_and_with_a_part_that_fails_they_fail() {
    let graph = SmallNet::default().build();
    for policy in [union(&[]), intersection(&[]), difference(Policy::All, union(&[]))] {
        let error = apply(&graph, &policy, &Replacement::default()).unwrap_err();
        assert!(matches!(error, Error::Empty { key: "policies", .. }), "{error}");
    }
    let error =
        apply(&graph, &union(&[Policy::Stem, Policy::FirstK { k: 9 }]), &Replacement::default())
            .unwrap_err();
    assert!(matches!(error, Error::TooMany { k: 9, sites: 5, .. }), "{error}");
}

fn crossover(policy: Policy, stage: usize, of: usize, from: End) -> Policy {
    Policy::Crossover { policy: policy.into(), stage, of, from }
}

#[test]
fn a_crossover_leads_from_relus_to_its_policy() {
    let graph = SmallNet::default().build();
    let stem = |stage, from| chosen(&graph, &crossover(Policy::Stem, stage, 3, from));
    assert_eq!(stem(0, End::Output), [true; 5]);
    // Four sites change in three stages: two, one and one.
    assert_eq!(stem(1, End::Output), [true, true, true, false, false]);
    assert_eq!(stem(2, End::Output), [true, true, false, false, false]);
    assert_eq!(stem(3, End::Output), chosen(&graph, &Policy::Stem));
    assert_eq!(stem(1, End::Input), [true, false, false, true, true]);
    let policy = crossover(Policy::Stem, 1, 3, End::Input);
    assert_eq!(policy.to_string(), "crossover(stem, stage 1 of 3 from the input)");
    for (stage, of) in [(1, 0), (4, 3), (1, 5)] {
        let policy = crossover(Policy::Stem, stage, of, End::Output);
        let error = apply(&graph, &policy, &Replacement::default()).unwrap_err();
        assert!(matches!(error, Error::Stages { sites: 4, .. }), "{error}");
    }
}
