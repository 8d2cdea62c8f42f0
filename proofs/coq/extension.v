(** Item 2: the greedy vector, the base polytope and the Lovász extension.

The greedy vector of any order lies in the base polytope of a submodular function, and that of the order of x
maximises the inner product with x there: the Lovász extension is the support function. Which of several orders
of tied entries is taken does not matter, for any set function. The extension agrees with the function on
indicators, and is convex exactly if the function is submodular. Everything rests on an induction over the
prefixes of an order, and on summation by parts along it. *)

From mathcomp Require Import all_ssreflect all_algebra ring.
From lovasz Require Import definitions.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Extension.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (d w x z : T -> R) (r : T -> nat) (A B S : {set T}).

(** ** Masses and inner products *)

Lemma mass_set0 w : mass w set0 = 0.
Proof. by rewrite /mass big_set0. Qed.

Lemma mass_set1 w i : mass w [set i] = w i.
Proof. by rewrite /mass big_set1. Qed.

Lemma mass_setU w A B : [disjoint A & B] -> mass w (A :|: B) = mass w A + mass w B.
Proof. by move=> AB; rewrite /mass -bigU //; apply: eq_bigl => i; rewrite !inE. Qed.

Lemma mass_setU1 w i A : i \notin A -> mass w (i |: A) = w i + mass w A.
Proof. by move=> iA; rewrite /mass big_setU1. Qed.

Lemma massE w A : mass w A = dot w (indicator R A).
Proof.
rewrite /mass big_mkcond; apply: eq_bigr => i _; rewrite /indicator.
by case: (i \in A); rewrite ?mulr1 ?mulr0.
Qed.

Lemma massB w d A : mass (fun i => w i - d i) A = mass w A - mass d A.
Proof. by rewrite /mass -sumrB. Qed.

Lemma mass_le w A : (forall i, 0 <= w i) -> forall B, A \subset B -> mass w A <= mass w B.
Proof.
move=> w0 B AB; rewrite /mass [X in _ <= X](big_setID A) /= (setIidPr AB) ler_addl.
by apply: sumr_ge0 => i _.
Qed.

Lemma dotB w d x : dot (fun i => w i - d i) x = dot w x - dot d x.
Proof. by rewrite /dot -sumrB; apply: eq_bigr => i _; rewrite mulrBl. Qed.

Lemma dotDr w x z : dot w (fun i => x i + z i) = dot w x + dot w z.
Proof. by rewrite /dot -big_split; apply: eq_bigr => i _; rewrite mulrDr. Qed.

Lemma dotZr w x (a : R) : dot w (fun i => a * x i) = a * dot w x.
Proof. by rewrite /dot mulr_sumr; apply: eq_bigr => i _; rewrite mulrCA. Qed.

Lemma sum_setT (g : T -> R) : \sum_(i in setT) g i = \sum_i g i.
Proof. by apply: eq_bigl => i; rewrite inE. Qed.

Lemma dot_const w (c : R) : dot w (fun=> c) = c * mass w setT.
Proof. by rewrite /dot /mass sum_setT mulr_sumr; apply: eq_bigr => i _; rewrite mulrC. Qed.

Lemma eq_dot w d x z : w =1 d -> x =1 z -> dot w x = dot d z.
Proof. by move=> wd xz; apply: eq_bigr => i _; rewrite wd xz. Qed.

(** ** Orders and their prefixes *)

Lemma rank_inj x : injective (rank x).
Proof.
move=> i j e; have inS k : k \in sort (fun i j => x j <= x i) (enum T) by rewrite mem_sort mem_enum.
by rewrite -(nth_index i (inS i)) -(nth_index i (inS j)) -/(rank x i) e.
Qed.

Lemma rank_decreasing x : decreasing_along (rank x) x.
Proof.
move=> i j; apply: (@sorted_ltn_index _ (fun i j => x j <= x i)); rewrite ?mem_sort ?mem_enum //.
  by move=> b a c ba cb; apply: le_trans cb ba.
by apply: sort_sorted => a b; rewrite orbC le_total.
Qed.

Lemma before_notin r i : i \notin before r i.
Proof. by rewrite inE ltnn. Qed.

Lemma prefixS r i : injective r -> [set j | (r j < (r i).+1)%N] = i |: before r i.
Proof.
move=> rI; apply/setP=> j; rewrite !inE ltnS leq_eqVlt; congr (_ || _).
by apply/eqP/eqP => [/rI|->].
Qed.

(** What holds of the empty set and passes from the pixels before i to those up to i holds of every prefix. *)
Lemma prefix_ind (Q : {set T} -> Prop) r : injective r -> Q set0 ->
  (forall i, Q (before r i) -> Q (i |: before r i)) -> forall k, Q [set j | (r j < k)%N].
Proof.
move=> rI Q0 QS; elim=> [|k IH]; first by have -> : [set j | (r j < 0)%N] = set0 by apply/setP=> j; rewrite !inE.
case: (pickP (fun i => r i == k)) => [i /eqP ik | none].
  by rewrite -ik prefixS //; apply: QS; rewrite /before ik.
have -> // : [set j | (r j < k.+1)%N] = [set j | (r j < k)%N].
by apply/setP=> j; rewrite !inE ltnS leq_eqVlt none.
Qed.

Lemma prefix_total r : [set j | (r j < (\max_i r i).+1)%N] = setT.
Proof. by apply/setP=> j; rewrite !inE ltnS leq_bigmax. Qed.

Lemma prefix_total_ind (Q : {set T} -> Prop) r : injective r -> Q set0 ->
  (forall i, Q (before r i) -> Q (i |: before r i)) -> Q setT.
Proof. by move=> rI Q0 QS; rewrite -(prefix_total r); apply: prefix_ind. Qed.

Lemma closed_prefix r A : injective r -> (forall i j, (r i < r j)%N -> j \in A -> i \in A) ->
  A = [set j | (r j < \max_(i in A) (r i).+1)%N].
Proof.
move=> rI AD; apply/setP=> i; rewrite inE.
case iA: (i \in A); first by rewrite (@leq_bigmax_cond _ _ (fun i => (r i).+1)).
apply/esym/negbTE; rewrite -leqNgt; apply/bigmax_leqP => j jA.
rewrite ltn_neqAle; apply/andP; split.
  by apply: contraFneq iA => /rI <-.
by rewrite leqNgt; apply: contraFN iA => ij; apply: AD ij jA.
Qed.

Lemma upper_closed r x t : decreasing_along r x ->
  forall i j, (r i < r j)%N -> j \in [set i | t < x i] -> i \in [set i | t < x i].
Proof. by move=> rx i j /rx ji; rewrite !inE => tj; apply: lt_le_trans ji. Qed.

Lemma upper_closed_eq r x t : decreasing_along r x ->
  forall i j, (r i < r j)%N -> j \in [set i | t <= x i] -> i \in [set i | t <= x i].
Proof. by move=> rx i j /rx ji; rewrite !inE => tj; apply: le_trans ji. Qed.

(** ** The greedy vector *)

Lemma greedy_prefix F r k : normalised F -> injective r ->
  mass (greedy F r) [set j | (r j < k)%N] = F [set j | (r j < k)%N].
Proof.
move=> F0 rI; apply: (prefix_ind (Q := fun S => mass (greedy F r) S = F S)) => //.
  by rewrite mass_set0 F0.
by move=> i IH; rewrite mass_setU1 ?before_notin // IH /greedy subrK.
Qed.

Lemma greedy_closed F r A : normalised F -> injective r -> (forall i j, (r i < r j)%N -> j \in A -> i \in A) ->
  mass (greedy F r) A = F A.
Proof. by move=> F0 rI AD; rewrite (closed_prefix rI AD) greedy_prefix. Qed.

Lemma greedy_total F r : normalised F -> injective r -> mass (greedy F r) setT = F setT.
Proof. by move=> F0 rI; rewrite -(prefix_total r) greedy_prefix. Qed.

(** The greedy vector lies in the base polytope. *)
Theorem greedy_in_base F r : normalised F -> submodular F -> injective r -> in_base F (greedy F r).
Proof.
move=> F0 Fsub rI; split; last exact: greedy_total.
have H : forall A, mass (greedy F r) (A :&: setT) <= F (A :&: setT).
  apply: (prefix_total_ind (Q := fun S => forall A, mass (greedy F r) (A :&: S) <= F (A :&: S)) rI).
    by move=> A; rewrite setI0 mass_set0 F0.
  move=> i IH A; set S := before r i in IH *.
  have iS : i \notin A :&: S by rewrite inE negb_and before_notin orbT.
  case iA: (i \in A); last first.
    suff -> : A :&: (i |: S) = A :&: S by exact: IH.
    by apply/setP=> j; rewrite !inE; case: eqP => // ->; rewrite iA.
  have -> : A :&: (i |: S) = i |: A :&: S.
    by apply/setP=> j; rewrite !inE; case: eqP => // ->; rewrite iA.
  rewrite mass_setU1 //; have := Fsub (i |: A :&: S) S.
  have -> : i |: A :&: S :|: S = i |: S.
    by apply/setP=> j; rewrite !inE; case: (j == i) => //=; case: (j \in A); case: (r j < r i)%N.
  have -> : (i |: A :&: S) :&: S = A :&: S.
    apply/setP=> j; rewrite !inE; case: eqP => [->|_] /=; first by rewrite ltnn andbF.
    by rewrite -andbA andbb.
  by move=> sub; apply: (le_by2 (IH A) sub); rewrite /greedy -/S; ring.
by move=> A; move: (H A); rewrite setIT.
Qed.

Lemma greedy_nonnegative F r : nondecreasing F -> forall i, 0 <= greedy F r i.
Proof. by move=> Fmon i; rewrite subr_ge0; apply: Fmon; apply: subsetU1. Qed.

Lemma base_nonnegative F w : nondecreasing F -> in_base F w -> forall i, 0 <= w i.
Proof.
move=> Fmon [wF wT] i; have := wF (~: [set i]).
have : mass w setT = w i + mass w (~: [set i]).
  by rewrite -[in LHS](setUCr [set i]) mass_setU1 // !inE eqxx.
rewrite wT => e le; have := Fmon _ _ (subsetT (~: [set i])) => mon.
by apply: (le_by2 le mon); rewrite e; ring.
Qed.

(** ** Summation by parts *)

(** If d has non-negative mass on every prefix and x decreases along the order, then ⟨d, x⟩ is at least the
least entry of x times the whole mass. *)
Lemma summation_by_parts r d x (c : R) : injective r -> decreasing_along r x ->
  (forall k, 0 <= mass d [set j | (r j < k)%N]) -> (forall i, c <= x i) -> c * mass d setT <= dot d x.
Proof.
move=> rI rx d0 cx.
suff H : forall c, (forall i, i \in setT -> c <= x i) -> c * mass d setT <= \sum_(i in setT) d i * x i.
  by rewrite /dot -sum_setT; apply: H => i _.
pose Q S := forall c, (forall i, i \in S -> c <= x i) -> c * mass d S <= \sum_(i in S) d i * x i.
apply: (prefix_total_ind (Q := Q) rI) => [b _|i IH b bx]; first by rewrite mass_set0 big_set0 mulr0.
have IHi : x i * mass d (before r i) <= \sum_(j in before r i) d j * x j.
  by apply: IH => j; rewrite inE => /rx.
have bi : b <= x i by apply: bx; rewrite setU11.
have mi : 0 <= mass d (i |: before r i) by rewrite -prefixS.
rewrite big_setU1 ?before_notin //=; apply: le_trans (ler_wpmul2r mi bi) _.
rewrite mass_setU1 ?before_notin // mulrDr [X in X + _]mulrC ler_add2l.
exact: IHi.
Qed.

Lemma lower_bound x : exists c : R, forall i, c <= x i.
Proof.
exists (- \sum_i `|x i|) => i; rewrite ler_oppl.
apply: (@le_trans _ _ `|x i|); first by rewrite -normrN ler_norm.
by rewrite (bigD1 i) //= ler_addl; apply: sumr_ge0 => j _.
Qed.

(** If moreover the whole mass vanishes, then ⟨d, x⟩ is not negative. *)
Lemma dot_nonnegative r d x : injective r -> decreasing_along r x ->
  (forall k, 0 <= mass d [set j | (r j < k)%N]) -> mass d setT = 0 -> 0 <= dot d x.
Proof.
move=> rI rx d0 dT; have [c cx] := lower_bound x.
by have := summation_by_parts rI rx d0 cx; rewrite dT mulr0.
Qed.

(** A vector without mass on the level sets of x is orthogonal to x. *)
Lemma dot_levels d x : (forall t, mass d [set i | t <= x i] = 0) ->
  (forall t, mass d [set i | t < x i] = 0) -> dot d x = 0.
Proof.
move=> dle dlt.
pose p i := odflt i [pick j | x j == x i].
have xp i : x (p i) = x i.
  by rewrite /p; case: pickP => [j /eqP -> //|/(_ i)]; rewrite eqxx.
have pE i j : x i = x j -> p i = p j.
  move=> e; rewrite /p (eq_pick (Q := fun k => x k == x j)); last by move=> k; rewrite e.
  by case: pickP => [//|/(_ j)]; rewrite eqxx.
have level0 t : \sum_(i | x i == t) d i = 0.
  have := dle t; have -> : [set i | t <= x i] = [set i | t < x i] :|: [set i | x i == t].
    by apply/setP=> i; rewrite !inE le_eqVlt orbC eq_sym.
  rewrite mass_setU; last by rewrite disjoint_subset; apply/subsetP=> i; rewrite !inE; case: ltgtP.
  rewrite dlt add0r => e; rewrite -[RHS]e /mass; apply: eq_bigl => i; by rewrite inE.
rewrite /dot (partition_big p predT) //= big1 // => j _.
case pj: (p j == j); last first.
  rewrite big_pred0 // => i; apply/negbTE; apply: contraFneq pj => pij.
  by apply/eqP; rewrite -[RHS]pij; apply: pE; rewrite -pij xp.
have same i : (p i == j) = (x i == x j).
  apply/eqP/eqP => [<-|e]; first by rewrite xp.
  by rewrite (pE _ _ e); apply/eqP.
rewrite (eq_bigl _ _ same) (eq_bigr (fun i => d i * x j)); last by move=> i /eqP ->.
by rewrite -mulr_suml level0 mul0r.
Qed.

(** ** The Lovász extension *)

(** Ties do not matter: every order along which x decreases gives the same value. *)
Theorem lovasz_order F r x : normalised F -> injective r -> decreasing_along r x ->
  lovasz F x = dot (greedy F r) x.
Proof.
move=> F0 rI rx; apply/eqP; rewrite -subr_eq0 -dotB; apply/eqP.
have [sI sx] := (@rank_inj x, @rank_decreasing x).
by apply: dot_levels => t; rewrite massB !greedy_closed ?subrr //;
  [apply: upper_closed_eq | apply: upper_closed_eq | apply: upper_closed | apply: upper_closed].
Qed.

Lemma eq_lovasz F x z : x =1 z -> lovasz F x = lovasz F z.
Proof.
move=> xz; pose F' A := F A - F set0; have F'0 : normalised F' by rewrite /normalised /F' subrr.
have shift u : lovasz F u = lovasz F' u.
  by apply: eq_dot => // i; rewrite /greedy /F'; ring.
have [rI rx] := (@rank_inj x, @rank_decreasing x).
rewrite !shift !(lovasz_order F'0 rI) //; first exact: eq_dot.
by move=> i j /rx; rewrite !xz.
Qed.

(** The Lovász extension is the support function of the base polytope: no base has a larger inner product... *)
Theorem lovasz_support F w x : normalised F -> in_base F w -> dot w x <= lovasz F x.
Proof.
move=> F0 [wF wT]; have [rI rx] := (@rank_inj x, @rank_decreasing x).
rewrite -subr_ge0 -dotB; apply: (dot_nonnegative rI rx) => [k|].
  by rewrite massB greedy_prefix // subr_ge0.
by rewrite massB greedy_total // wT subrr.
Qed.

(** ... and the greedy vector has it. *)
Theorem lovasz_attained F x : normalised F -> submodular F -> exists2 w, in_base F w & dot w x = lovasz F x.
Proof. by move=> F0 Fsub; exists (greedy F (rank x)); first exact: greedy_in_base (@rank_inj x). Qed.

Lemma polymatroid_support F w x : normalised F -> (forall A, mass w A <= F A) -> (forall i, 0 <= x i) ->
  dot w x <= lovasz F x.
Proof.
move=> F0 wF x0; have [rI rx] := (@rank_inj x, @rank_decreasing x).
rewrite -subr_ge0 -dotB -[X in X <= _](mul0r (mass (fun i => greedy F (rank x) i - w i) setT)).
by apply: (summation_by_parts rI rx) => [k|//]; rewrite massB greedy_prefix // subr_ge0.
Qed.

(** The extension extends: its value on the indicator of a set is that of the function. *)
Theorem lovasz_indicator F A : normalised F -> lovasz F (indicator R A) = F A.
Proof.
move=> F0; rewrite /lovasz -massE greedy_closed //; first exact: rank_inj.
move=> i j /rank_decreasing; rewrite /indicator => ji jA; apply: contraLR ji => iA.
by rewrite (negbTE iA) jA -ltNge ltr01.
Qed.

Lemma lovasz_comonotone F r x z : normalised F -> injective r -> decreasing_along r x -> decreasing_along r z ->
  lovasz F (fun i => x i + z i) = lovasz F x + lovasz F z.
Proof.
move=> F0 rI rx rz; rewrite !(lovasz_order F0 rI) ?dotDr //.
by move=> i j ij; apply: ler_add; [apply: rx | apply: rz].
Qed.

Lemma lovasz_scale F x (a : R) : normalised F -> 0 <= a -> lovasz F (fun i => a * x i) = a * lovasz F x.
Proof.
move=> F0 a0; rewrite (lovasz_order F0 (@rank_inj x)) ?dotZr //.
by move=> i j /rank_decreasing ij; apply: ler_wpmul2l.
Qed.

Lemma lovasz_shift F x (c : R) : normalised F -> lovasz F (fun i => x i + c) = lovasz F x + c * F setT.
Proof.
move=> F0; have [rI rx] := (@rank_inj x, @rank_decreasing x).
rewrite (lovasz_order F0 rI); last by move=> i j /rx ij; rewrite ler_add2r.
by rewrite dotDr dot_const greedy_total.
Qed.

Lemma lovasz_subadditive F x z : normalised F -> submodular F ->
  lovasz F (fun i => x i + z i) <= lovasz F x + lovasz F z.
Proof.
move=> F0 Fsub; have [w wF <-] := lovasz_attained (fun i => x i + z i) F0 Fsub.
by rewrite dotDr; apply: ler_add; apply: lovasz_support.
Qed.

(** The extension is convex if and only if the function is submodular. *)
Theorem convex_iff_submodular F : normalised F -> convex (lovasz F) <-> submodular F.
Proof.
move=> F0; split=> [cv A B|Fsub x z t t0 t1]; last first.
  have t1' : 0 <= 1 - t by rewrite subr_ge0.
  by rewrite -(lovasz_scale x F0 t0) -(lovasz_scale z F0 t1'); apply: lovasz_subadditive.
pose s i := indicator R A i + indicator R B i.
have sE i : s i = indicator R (A :|: B) i + indicator R (A :&: B) i.
  by rewrite /s /indicator !inE; case: (i \in A); case: (i \in B); rewrite ?addr0 ?add0r.
have [rI rs] := (@rank_inj s, @rank_decreasing s).
have sv i : s i = ((i \in A) + (i \in B))%:R by rewrite /s /indicator -natrD.
have union_down : decreasing_along (rank s) (indicator R (A :|: B)).
  move=> i j /rs; rewrite !sv ler_nat /indicator !inE ler_nat.
  by case: (i \in A); case: (i \in B); case: (j \in A); case: (j \in B).
have inter_down : decreasing_along (rank s) (indicator R (A :&: B)).
  move=> i j /rs; rewrite !sv ler_nat /indicator !inE ler_nat.
  by case: (i \in A); case: (i \in B); case: (j \in A); case: (j \in B).
have total : lovasz F s = F (A :|: B) + F (A :&: B).
  by rewrite (eq_lovasz F sE) (lovasz_comonotone F0 rI) // !lovasz_indicator.
have half : (0 : R) <= 2^-1 by rewrite invr_ge0 ler0n.
have half1 : (2^-1 : R) <= 1 by rewrite invf_le1 ?ltr0n // ler1n.
have := cv (indicator R A) (indicator R B) _ half half1.
have -> : 1 - 2^-1 = 2^-1 :> R by field.
rewrite (eq_lovasz F (z := fun i => 2^-1 * s i)); last by move=> i; rewrite -mulrDr.
rewrite lovasz_scale // total !lovasz_indicator // -mulrDr ler_pmul2l //.
by rewrite invr_gt0 ltr0n.
Qed.

(** ** Tightness on level sets *)

Lemma positive_bound (s : seq R) : all (fun a => 0 < a) s -> exists2 e : R, 0 < e & all (fun a => e <= a) s.
Proof.
elim: s => [_|a s IH /= /andP[a0 /IH[e e0 es]]]; first by exists 1; rewrite ?ltr01.
exists (Num.min a e); first by rewrite lt_minr a0.
rewrite le_minl lexx /=; apply: sub_all es => b eb; by rewrite le_minl eb orbT.
Qed.

(** Entries that lie below t lie below it by some margin. *)
Lemma level_margin z t : exists2 e : R, 0 < e & forall i, z i < t -> z i <= t - e.
Proof.
have gaps : all (fun a => 0 < a) [seq t - z i | i <- enum T & z i < t].
  by apply/allP=> a /mapP[i]; rewrite mem_filter => /andP[it _] ->; rewrite subr_gt0.
have [e e0 es] := positive_bound gaps.
exists e => // i it; rewrite ler_subr_addr addrC -ler_subr_addr.
by apply: (allP es); apply: map_f; rewrite mem_filter it mem_enum.
Qed.

Lemma closed_level z t : exists t', [set i | t <= z i] = [set i | t' < z i].
Proof.
have [e e0 ez] := level_margin z t; exists (t - e); apply/setP=> i; rewrite !inE.
case: (leP t (z i)) => [tz|/ez]; last by rewrite leNgt => /negbTE ->.
by rewrite (lt_le_trans _ tz) // ltr_subl_addr ltr_addl.
Qed.

(** A base that attains the support function at z is tight on the level sets of z. *)
Lemma tight_levels F w z : normalised F -> in_base F w -> dot w z = lovasz F z ->
  forall t, mass w [set i | t < z i] = F [set i | t < z i] /\ mass w [set i | t <= z i] = F [set i | t <= z i].
Proof.
move=> F0 [wF wT] wz; suff strict t : mass w [set i | t < z i] = F [set i | t < z i].
  by move=> t; split=> //; have [t' ->] := closed_level z t.
set L := [set i | t < z i]; have [rI rz] := (@rank_inj z, @rank_decreasing z).
pose d i := greedy F (rank z) i - w i.
have d0 k : 0 <= mass d [set j | (rank z j < k)%N] by rewrite massB greedy_prefix // subr_ge0.
have dT : mass d setT = 0 by rewrite massB greedy_total // wT subrr.
have dz : dot d z = 0 by rewrite dotB wz subrr.
have dL : mass d L = F L - mass w L.
  by rewrite massB greedy_closed // => i j; apply: upper_closed.
have [e e0 ez] := level_margin (fun i => - z i) (- t).
have low i : i \in L -> t <= z i - e.
  by rewrite inE => tz; have := ez i; rewrite ltr_opp2 -opprD ler_opp2 ler_subr_addr; apply.
have down : decreasing_along (rank z) (fun i => z i + (- e) * indicator R L i).
  move=> i j ij; have := rz _ _ ij; rewrite /indicator.
  case iL: (i \in L); case jL: (j \in L); rewrite ?mulr1 ?mulr0 ?addr0 // ?ler_add2r // => ji.
    by apply: le_trans (low _ iL); rewrite leNgt; move: jL; rewrite inE => ->.
  by move: iL; rewrite (upper_closed (r := rank z) _ ij jL).
have := dot_nonnegative rI down d0 dT; rewrite dotDr dotZr dz add0r -massE mulNr oppr_ge0 pmulr_rle0 //.
by rewrite dL subr_le0 => le; apply/eqP; rewrite eq_le wF le.
Qed.

Lemma levels_tight F w z : normalised F -> (forall t, mass w [set i | t < z i] = F [set i | t < z i]) ->
  dot w z = lovasz F z.
Proof.
move=> F0 wL; have [rI rz] := (@rank_inj z, @rank_decreasing z).
apply/eqP; rewrite -subr_eq0 -dotB; apply/eqP.
have dlt t : mass (fun i => w i - greedy F (rank z) i) [set i | t < z i] = 0.
  by rewrite massB greedy_closed ?wL ?subrr // => i j; apply: upper_closed.
by apply: dot_levels => [t|//]; have [t' ->] := closed_level z t.
Qed.

End Extension.
