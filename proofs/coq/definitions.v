(** Set functions, their base polytope and Lovász extension, and the proximal operator.

Everything is over an ordered field R (no completeness, no classical axiom) and a finite set T of pixels.
This file holds definitions alone: what the theorems of the other files mean is settled here. *)

From mathcomp Require Import all_ssreflect all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Definitions.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (f : (T -> R) -> R) (w x z : T -> R) (r : T -> nat) (A B : {set T}).

(** Vectors, indexed by pixels. *)
Definition mass w A : R := \sum_(i in A) w i.
Definition dot w x : R := \sum_i w i * x i.
Definition sqdist x z : R := \sum_i (x i - z i) ^+ 2.
Definition indicator A : T -> R := fun i => (i \in A)%:R.
Definition pos x : T -> R := fun i => Num.max (x i) 0.

(** Set functions. *)
Definition normalised F := F set0 = 0.
Definition nondecreasing F := forall A B, A \subset B -> F A <= F B.
Definition submodular F := forall A B, F (A :|: B) + F (A :&: B) <= F A + F B.

(** The base polytope, and the polymatroid of a non-decreasing function. *)
Definition in_base F w := (forall A, mass w A <= F A) /\ mass w setT = F setT.
Definition in_polymatroid F w := (forall i, 0 <= w i) /\ (forall A, mass w A <= F A).

(** An order of the pixels is an injective rank; Edmonds' greedy vector gives every pixel the increment of F
when the pixels join in that order. *)
Definition before r i := [set j | (r j < r i)%N].
Definition greedy F r : T -> R := fun i => F (i |: before r i) - F (before r i).
Definition decreasing_along r x := forall i j, (r i < r j)%N -> x j <= x i.

(** The Lovász extension: sort x in decreasing order, then weigh it with the greedy vector. *)
Definition rank x : T -> nat := fun i => index i (sort (fun i j => x j <= x i) (enum T)).
Definition lovasz F x : R := dot (greedy F (rank x)) x.
Definition hinge F x : R := lovasz F (pos x).
Definition convex f :=
  forall x z (t : R), 0 <= t -> t <= 1 -> f (fun i => t * x i + (1 - t) * z i) <= t * f x + (1 - t) * f z.

(** z is the proximal point of x, of f with step gamma: no point has a smaller objective, and only z itself has
the same. *)
Definition objective f (gamma : R) x z := 2^-1 * sqdist z x + gamma * f z.
Definition is_prox f gamma x z :=
  forall u, objective f gamma x z <= objective f gamma x u /\
            (objective f gamma x u <= objective f gamma x z -> u =1 z).

(** The Jaccard loss of a set A of mistakes, of the foreground fg. Here 0 / 0 = 0, so that it is 0 on the empty
set also where fg is empty. *)
Definition jaccard (fg : {set T}) A : R := #|A|%:R / #|fg :|: A|%:R.

(** Set functions of the two counts: a false negatives and b false positives. *)
Definition counts (fg : {set T}) (g : nat -> nat -> R) A := g #|A :&: fg| #|A :\: fg|.

End Definitions.

Section Arithmetic.

Variable R : realFieldType.
Implicit Types a b c d : R.

(** Linear inequalities: the caller names the inequalities that add up; [ring] shows that they do. *)
Lemma le_by1 c d a b : c <= d -> b - a = d - c -> a <= b.
Proof. by move=> h e; rewrite -subr_ge0 e subr_ge0. Qed.

Lemma le_by2 c d c' d' a b : c <= d -> c' <= d' -> b - a = (d - c) + (d' - c') -> a <= b.
Proof. by move=> h h' e; rewrite -subr_ge0 e; apply: addr_ge0; rewrite subr_ge0. Qed.

Lemma le_by3 c d c' d' c'' d'' a b :
  c <= d -> c' <= d' -> c'' <= d'' -> b - a = (d - c) + (d' - c') + (d'' - c'') -> a <= b.
Proof.
by move=> h h' h'' e; rewrite -subr_ge0 e; apply: addr_ge0; [apply: addr_ge0|]; rewrite subr_ge0.
Qed.

Lemma lt_by1 c d a b : c < d -> b - a = d - c -> a < b.
Proof. by move=> h e; rewrite -subr_gt0 e subr_gt0. Qed.

Lemma lt_by2 c d c' d' a b : c < d -> c' <= d' -> b - a = (d - c) + (d' - c') -> a < b.
Proof. by move=> h h' e; rewrite -subr_gt0 e ltr_paddr ?subr_ge0 ?subr_gt0. Qed.

End Arithmetic.
