(** Item 9, second part of the proof: what the two halves of the checker decide about the vectors.

The integers of the rows are embedded in an ordered field R, and the rows list the pixels of a finite set
T in any order; w is the dual point. The first half of the checker then decides whether the mass of w is
the Jaccard loss on every level set of z, and the second half whether w lies in the base polytope, by
membership_by_background_iff. *)

From Coq Require Import ZArith.
From mathcomp Require Import all_ssreflect all_algebra zify ssrZ ring.
From lovasz Require Import definitions extension prox jaccard membership checker checker_lists.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

(** The binary integers, not those of mathcomp. *)
Delimit Scope Z_scope with Z.

Section Embedding.

Variable R : realFieldType.
Implicit Types (a b u G : Z) (s : seq Z).

(** The binary integers in R. *)
Definition zr a : R := (int_of_Z a)%:~R.

Lemma zrD a b : zr (a + b)%Z = zr a + zr b.
Proof. by rewrite /zr -rmorphD -(rmorphD ZInstances.int_of_Z_rmorphism). Qed.

Lemma zrB a b : zr (a - b)%Z = zr a - zr b.
Proof. by rewrite /zr -rmorphB -(rmorphB ZInstances.int_of_Z_rmorphism). Qed.

Lemma zrM a b : zr (a * b)%Z = zr a * zr b.
Proof. by rewrite /zr -rmorphM -(rmorphM ZInstances.int_of_Z_rmorphism). Qed.

Lemma zr_nat (n : nat) : zr (Z.of_nat n) = n%:R.
Proof. by rewrite /zr (_ : int_of_Z _ = n) //; lia. Qed.

Lemma zr_le a b : (zr a <= zr b) = (a <=? b)%Z.
Proof. by rewrite /zr ler_int; lia. Qed.

Lemma zr_lt a b : (zr a < zr b) = (a <? b)%Z.
Proof. by rewrite /zr ltr_int; lia. Qed.

Lemma zr_eq a b : zr a = zr b <-> a = b.
Proof. by split=> [/eqP|-> //]; rewrite /zr eqr_int; lia. Qed.

Lemma zr_gt0 a : (0 < a)%Z -> 0 < zr a.
Proof. by rewrite -[0]/(zr 0) zr_lt; lia. Qed.

Lemma zr_sumZ s : zr (sumZ s) = \sum_(u <- s) zr u.
Proof. by elim: s => [|u s IH]; rewrite ?big_nil // big_cons zrD IH. Qed.

(** The excesses over 1 / c, where c is an integer, are those of the entries above it. *)
Lemma sum_above G (c : nat) s : (0 < G)%Z -> (0 < c)%N ->
  let h := filter (above G (Z.of_nat c)) s in
  \sum_(u <- s) Num.max 0 (zr u / zr G - c%:R^-1) = zr (sumZ h) / zr G - (size h)%:R / c%:R.
Proof.
move=> G0 c0; have zG0 := zr_gt0 G0; have zc0 : 0 < c%:R :> R by rewrite ltr0n.
elim: s => [|u s IH] /=; first by rewrite big_nil !mul0r subr0.
have aboveE : above G (Z.of_nat c) u = (c%:R^-1 < zr u / zr G).
  by rewrite ltr_pdivl_mulr // mulrC ltr_pdivr_mulr // -zr_nat -zrM zr_lt.
rewrite big_cons IH aboveE; case: ltP => h /=.
  by rewrite max_r ?subr_ge0 1?ltW // zrD mulrS; field; rewrite !gt_eqF.
by rewrite max_l ?add0r // subr_le0.
Qed.

End Embedding.

(** The rows list the pixels of T, in any order; w is the dual point. *)
Section Criteria.

Variables (R : realFieldType) (T : finType) (pix : T -> pixel) (G : Z) (w : T -> R).
Hypothesis G_gt0 : (0 < G)%Z.
Hypothesis wE : forall i, w i = zr R (moved (pix i)) / zr R G.
Implicit Types (rows : seq pixel) (p : pred pixel) (k : nat).

Local Notation zr := (zr R).
Local Notation fg := [set i | foreground (pix i)].
Local Notation lists rows := (perm_eq rows [seq pix i | i <- enum T]).
Let zG_gt0 : 0 < zr G := zr_gt0 R G_gt0.

Lemma entries_rows p rows : lists rows ->
  perm_eq (entries p rows) [seq moved (pix i) | i <- enum [set i | p (pix i)]].
Proof.
move=> /(perm_filter p)/(perm_map moved) lr.
have -> : enum [set i | p (pix i)] = [seq i <- enum T | p (pix i)].
  by rewrite enumT; apply: eq_filter => i; rewrite /= inE.
by rewrite map_comp -filter_map.
Qed.

Lemma sum_rows p rows (h : Z -> R) : lists rows ->
  \sum_(i in [set i | p (pix i)]) h (moved (pix i)) = \sum_(u <- entries p rows) h u.
Proof. by move=> lr; rewrite (perm_big _ (entries_rows p lr)) /= big_map big_enum. Qed.

Lemma mass_rows p rows : lists rows ->
  mass w [set i | p (pix i)] = zr (sumZ (entries p rows)) / zr G.
Proof.
move=> lr; rewrite zr_sumZ mulr_suml -(sum_rows p (fun u => zr u / zr G) lr).
by apply: eq_bigr => i _; rewrite wE.
Qed.

Lemma card_rows p rows : lists rows -> #|[set i | p (pix i)]| = count p rows.
Proof. by move=> /entries_rows/perm_size lr; rewrite -size_filter -(size_map moved) lr size_map -cardE. Qed.

Lemma jaccard_rows p rows : lists rows -> jaccard R fg [set i | p (pix i)] =
  (size (filter p rows))%:R / (count foreground rows + count background (filter p rows))%:R.
Proof.
move=> lr; rewrite /jaccard (card_rows p lr) size_filter; congr (_ / _%:R).
rewrite -(cardsID fg (_ :|: _)) setUK setDUl setDv set0U (card_rows foreground lr) count_filter.
congr (_ + _)%N; rewrite -(card_rows _ lr); apply: eq_card => i.
by rewrite !inE.
Qed.

(** The mass is that of the Jaccard loss on one set of rows. *)
Lemma level_rows p rows : lists rows ->
  mass w [set i | p (pix i)] = jaccard R fg [set i | p (pix i)] <->
  (has p rows -> level_tight G (tally foreground rows) 0 0 p rows).
Proof.
move=> lr; rewrite (mass_rows p lr) (jaccard_rows p lr) tallyE has_count -(size_filter p) /level_tight.
case: posnP => [n0|n_gt0].
  by rewrite /entries (size0nil n0) /= !mul0r.
set q := (_ + _)%N; have q_gt0 : (0 < q)%N.
  have le : (count foreground (filter p rows) <= count foreground rows)%N.
    by rewrite count_filter; apply: sub_count => r /andP[].
  have e : (count foreground (filter p rows) + count background (filter p rows))%N = size (filter p rows).
    exact: count_predC.
  by rewrite /q; lia.
rewrite !Z.add_0_l -Nat2Z.inj_add -[(_ + _)%coq_nat]/q.
have zq_gt0 : 0 < q%:R :> R by rewrite ltr0n.
rewrite (_ : _ / _ = _ / _ <-> zr (sumZ (entries p rows)) * q%:R = zr G * (size (filter p rows))%:R).
  by rewrite -!zr_nat -!zrM zr_eq; split=> // h; apply: h.
split=> [/eqP|e]; first by rewrite eqr_div ?lt0r_neq0 // => /eqP ->; rewrite mulrC.
by apply/eqP; rewrite eqr_div ?lt0r_neq0 // e mulrC.
Qed.

(** The first half of the checker. *)
Lemma tight_iff rows (D : Z) : lists rows -> (0 < D)%Z -> sorted answer_falling rows ->
  let z := fun i => zr (answer (pix i)) / zr D in
  let F := jaccard R fg in
  tight G (tally foreground rows) 0 0 rows <->
  mass w setT = F setT /\ forall t, mass w [set i | t < z i] = F [set i | t < z i] /\
    mass w [set i | t <= z i] = F [set i | t <= z i].
Proof.
move=> lr /(zr_gt0 R) D0 sr z F; have z_le u v : (zr u / zr D <= zr v / zr D) = (u <=? v)%Z.
  by rewrite ler_pmul2r ?invr_gt0 // zr_le.
split=> [ok|[_ levels]]; last first.
  apply: tight_of_thresholds => // m; apply/(level_rows (Z.leb m \o answer) lr).
  have -> : [set i | (Z.leb m \o answer) (pix i)] = [set i | zr m / zr D <= z i].
    by apply/setP => i; rewrite !inE z_le.
  by case: (levels (zr m / zr D)).
have tight_on (up : pred Z) : (forall u v, (u <= v)%Z -> up u -> up v) ->
    mass w [set i | (up \o answer) (pix i)] = F [set i | (up \o answer) (pix i)].
  by move=> upP; apply/(level_rows _ lr); apply: tight_upper_sets.
split=> [|t].
  have -> : setT = [set i | (xpredT \o answer) (pix i)] by apply/setP => i; rewrite !inE.
  exact: tight_on.
split.
  by apply: (tight_on (fun u => t < zr u / zr D)) => u v uv tu; apply: lt_le_trans tu _; rewrite z_le; lia.
by apply: (tight_on (fun u => t <= zr u / zr D)) => u v uv tu; apply: le_trans tu _; rewrite z_le; lia.
Qed.

(** The background entries, sorted. *)
Lemma sorted_background rows : lists rows ->
  sorted_values w (~: fg) = [seq zr u / zr G | u <- sort falling (entries background rows)].
Proof.
move=> lr; have le_div u v : zr u / zr G <= zr v / zr G = (u <=? v)%Z.
  by rewrite ler_pmul2r ?invr_gt0 // zr_le.
apply: (@sorted_eq _ (fun a b : R => b <= a)).
- by move=> b a c ba cb; apply: le_trans ba.
- by move=> a b; rewrite andbC; apply: le_anti.
- exact: sorted_values_sorted.
- rewrite sorted_map (@eq_sorted _ _ falling); first exact: sort_sorted falling_total _.
  by move=> u v; rewrite /= le_div.
rewrite /sorted_values perm_sort.
have -> : [seq w i | i <- enum (~: fg)] = [seq zr u / zr G | u <- [seq moved (pix i) | i <- enum (~: fg)]].
  by rewrite -map_comp; apply: eq_map => i; rewrite /= wE.
apply: perm_map; rewrite perm_sym perm_sort; have -> : ~: fg = [set i | background (pix i)].
  by apply/setP => i; rewrite !inE.
exact: entries_rows.
Qed.

(** The inequality that belongs to k background pixels. *)
Lemma count_inside_iff rows k : lists rows ->
  count_inside G (tally foreground rows) 0 0 (sort falling (entries foreground rows))
    (sort falling (entries background rows)) k <->
  \sum_(i in fg) Num.max 0 (w i - (#|fg| + k)%:R^-1) + prefix_sum (sorted_values w (~: fg)) k
    <= k%:R / (#|fg| + k)%:R.
Proof.
move=> lr; rewrite (sorted_background lr) /prefix_sum -map_take big_map -mulr_suml -zr_sumZ.
rewrite /count_inside tallyE -(card_rows _ lr) -Nat2Z.inj_add -[(_ + _)%coq_nat]/(#|fg| + k)%N.
set f := sort _ _; set g := take _ _; set c := (_ + k)%N; rewrite !Z.add_0_l.
case: (posnP c) => [c0|c_gt0].
  have [P0 k0] : #|fg| = 0%N /\ k = 0%N by rewrite /c in c0; lia.
  rewrite c0 /g k0 take0 /= -[zr 0%Z]/0 !mul0r addr0 (cards0_eq P0) big_set0 lexx.
  by split=> // _; nia.
have -> : \sum_(i in fg) Num.max 0 (w i - c%:R^-1) = \sum_(u <- f) Num.max 0 (zr u / zr G - c%:R^-1).
  rewrite (perm_big (entries foreground rows)) ?perm_sort // -(sum_rows foreground _ lr).
  by apply: eq_bigr => i _; rewrite wE.
rewrite sum_above //; set h := filter _ _.
have zc_gt0 : 0 < c%:R :> R by rewrite ltr0n.
rewrite -Z.leb_le -(zr_le R) !zrM !zrD !zr_nat -[in X in _ <-> X](ler_pmul2l (mulr_gt0 zc_gt0 zG_gt0)).
rewrite (_ : c%:R * zr G * (k%:R / c%:R) = zr G * k%:R); last by field; rewrite gt_eqF.
set lhs := c%:R * zr G * _; have -> : lhs = c%:R * (zr (sumZ h) + zr (sumZ g)) - zr G * (size h)%:R.
  by rewrite /lhs; field; rewrite !gt_eqF.
by rewrite ler_subl_addl !mulrDr; split.
Qed.

(** The second half. *)
Lemma inside_iff rows : lists rows -> mass w setT = jaccard R fg setT ->
  inside G (tally foreground rows) 0 0 (sort falling (entries foreground rows))
    (sort falling (entries background rows)) <->
  in_base (jaccard R fg) w.
Proof.
move=> lr tot; have P_ge0 : (0 <= tally foreground rows)%Z by rewrite tallyE; lia.
rewrite (insideP _ _ _ G_gt0 P_ge0); last exact: sort_sorted falling_total _.
rewrite membership_by_background_iff size_sort -(size_sort falling) -(size_map (fun u => zr u / zr G)).
rewrite -(sorted_background lr) size_sorted_values.
split=> [ok|[_ ok] k k_le].
  split=> // B B_bg; have /ok/(count_inside_iff _ lr) := subset_leq_card B_bg.
  by apply: le_trans; rewrite ler_add2l mass_le_prefix.
have [B [B_bg cB eB]] := take_attained w k_le; have := ok B B_bg.
by rewrite cB eB => ?; apply/(count_inside_iff _ lr).
Qed.

(** Both halves together: the certificate of optimality of z. *)
Lemma check_certificate rows (D : Z) : lists rows -> (0 < D)%Z ->
  let z := fun i => zr (answer (pix i)) / zr D in
  check rows G <-> in_base (jaccard R fg) w /\ dot w z = lovasz (jaccard R fg) z.
Proof.
move=> lr D0 z; have F0 := jaccard_normalised R fg.
have ls : lists (sort answer_falling rows) by rewrite perm_sort.
have := tight_iff ls D0 (sort_sorted answer_falling_total rows).
have -> : tally foreground (sort answer_falling rows) = tally foreground rows.
  by rewrite !tallyE; congr Z.of_nat; apply/permP; rewrite perm_sort.
rewrite -/z /= => tightP; split=> [/and3P[_ /tightP[tot levels]] /(inside_iff lr tot) base|[base dotE]].
  by split=> //; apply: levels_tight => // t; case: (levels t).
apply/and3P; split; first by apply/Z.ltb_lt.
  by apply/tightP; split; [case: base | apply: tight_levels].
by apply/(inside_iff lr) => //; case: base.
Qed.

End Criteria.
