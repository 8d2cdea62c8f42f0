(** Item 7: pixels that need no sorting.

The Lovász hinge and its prox do not see pixels with a nonpositive error. Once all the foreground is wrong the
Jaccard loss is 1 and stays 1: so a background pixel behind the foreground has weight 0, and the prox fixes a
background pixel far enough behind the foreground, which influences no other pixel. The latter holds for every
nondecreasing submodular function F and every set K on which F has its largest value already. *)

From mathcomp Require Import all_ssreflect all_algebra ring.
From lovasz Require Import definitions extension prox jaccard.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Hinge.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (m u x z s : T -> R) (r : T -> nat) (A B : {set T}).

Lemma pos_ge0 m i : 0 <= pos m i.
Proof. by rewrite /pos le_maxr lexx orbT. Qed.

Lemma pos_gt0 m i : (0 < pos m i) = (0 < m i).
Proof. by rewrite /pos lt_maxr ltxx orbF. Qed.

Lemma pos_le m u i : m i <= u i -> pos m i <= pos u i.
Proof. by move=> mu; rewrite /pos le_maxl !le_maxr mu lexx !orbT. Qed.

(** A pixel with a nonpositive error contributes nothing to the value: the hinge depends only on the values of
F on sets of pixels with positive errors. *)
Theorem hinge_ignores_nonpositive F F' m :
  (forall A, A \subset [set i | 0 < m i] -> F A = F' A) -> hinge F m = hinge F' m.
Proof.
move=> FF; apply: eq_bigr => i _; have [-> | x0] := eqVneq (pos m i) 0; first by rewrite !mulr0.
have i0 : 0 < pos m i by rewrite lt_def x0 pos_ge0.
have sub : before (rank (pos m)) i \subset [set i | 0 < m i].
  apply/subsetP=> j; rewrite !inE -[0 < m j]pos_gt0 => /(rank_decreasing (x := pos m)).
  exact: lt_le_trans.
by rewrite /greedy !FF // subUset sub1set inE -pos_gt0 i0.
Qed.

(** The greedy vector of the errors, set to 0 where the error is not positive. *)
Definition hinge_gradient F m : T -> R := fun i => if 0 < m i then greedy F (rank (pos m)) i else 0.

Lemma hinge_gradient_ge0 F m i : nondecreasing F -> 0 <= hinge_gradient F m i.
Proof. by move=> nd; rewrite /hinge_gradient; case: ifP => // _; apply: greedy_nonnegative. Qed.

Lemma hinge_gradient_mass F m A : normalised F -> nondecreasing F -> submodular F ->
  mass (hinge_gradient F m) A <= F A.
Proof.
move=> nF nd sub; have [bound _] := greedy_in_base nF sub (rank_inj (x := pos m)).
apply: le_trans (nd _ _ (subsetIl A [set i | 0 < m i])); apply: le_trans (bound _).
rewrite /mass big_mkcond [X in _ <= X]big_mkcond; apply: ler_sum => i _.
by rewrite !inE /hinge_gradient; case: (i \in A); case: (0 < m i).
Qed.

Lemma hinge_gradient_dot F m : dot (hinge_gradient F m) m = hinge F m.
Proof.
apply: eq_bigr => i _; rewrite /hinge_gradient /pos maxC; case: ltP => m0; first by [].
by rewrite mul0r mulr0.
Qed.

(** This vector, 0 at every pixel with a nonpositive error, is a subgradient of the hinge. *)
Theorem hinge_subgradient F m u : normalised F -> nondecreasing F -> submodular F ->
  hinge F m + dot (hinge_gradient F m) (fun i => u i - m i) <= hinge F u.
Proof.
move=> nF nd sub; rewrite -[hinge F m]hinge_gradient_dot.
set s := hinge_gradient F m; have -> : dot s m + dot s (fun i => u i - m i) = dot s u.
  by rewrite /dot -big_split; apply: eq_bigr => i _ /=; ring.
apply: (@le_trans _ _ (dot s (pos u))).
  by apply: ler_sum => i _; rewrite ler_wpmul2l ?hinge_gradient_ge0 // /pos le_maxr lexx.
by apply: polymatroid_support => // [A | i]; [apply: hinge_gradient_mass | apply: pos_ge0].
Qed.

Lemma lovasz_monotone F x z : normalised F -> nondecreasing F -> submodular F ->
  (forall i, x i <= z i) -> lovasz F x <= lovasz F z.
Proof.
move=> nF nd sub xz; have inj := rank_inj (x := x).
apply: le_trans (lovasz_support z nF (greedy_in_base nF sub inj)).
by apply: ler_sum => i _; rewrite ler_wpmul2l ?greedy_nonnegative.
Qed.

(** To move every pixel with x i <= 0 back to x i does not increase the objective of the prox. *)
Definition put_back x u : T -> R := fun i => if x i <= 0 then x i else u i.

Lemma put_back_objective F gamma x u : normalised F -> nondecreasing F -> submodular F -> 0 <= gamma ->
  objective (hinge F) gamma x (put_back x u) + 2^-1 * sqdist u (put_back x u)
  <= objective (hinge F) gamma x u.
Proof.
move=> nF nd sub g0; have -> : sqdist u (put_back x u) = sqdist u x - sqdist (put_back x u) x.
  by rewrite /sqdist -sumrB; apply: eq_bigr => i _; rewrite /put_back; case: ifP => _; ring.
have hinge_le : hinge F (put_back x u) <= hinge F u.
  apply: lovasz_monotone => // i; rewrite /pos /put_back; case: (leP (x i) 0) => // x0.
  by rewrite (max_idPr x0) le_maxr lexx orbT.
by have h := ler_wpmul2l g0 hinge_le; apply: (le_by1 h); rewrite /objective; ring.
Qed.

(** The prox of the hinge fixes every pixel with x i <= 0. *)
Theorem hinge_prox_fixes_nonpositive F gamma x z :
  normalised F -> nondecreasing F -> submodular F -> 0 <= gamma ->
  is_prox (hinge F) gamma x z -> forall i, x i <= 0 -> z i = x i.
Proof.
move=> nF nd sub g0 prox i x0; have [_ unique] := prox (put_back x z).
have := unique _ i; rewrite {2}/put_back x0 => -> //.
apply: le_trans (put_back_objective x z nF nd sub g0).
by rewrite ler_addl mulr_ge0 ?sqdist_ge0 // invr_ge0 ler0n.
Qed.

(** The other pixels do not feel them: the prox depends only on the values of F on sets of pixels with
x i > 0. *)
Theorem hinge_prox_ignores_nonpositive F F' gamma x z :
  normalised F -> nondecreasing F -> submodular F -> normalised F' -> nondecreasing F' -> submodular F' ->
  0 <= gamma -> (forall A, A \subset [set i | 0 < x i] -> F A = F' A) ->
  is_prox (hinge F) gamma x z -> is_prox (hinge F') gamma x z.
Proof.
move=> nF nd sub nF' nd' sub' g0 FF prox u.
have same v : (forall i, x i <= 0 -> v i = x i) ->
    objective (hinge F') gamma x v = objective (hinge F) gamma x v.
  move=> vx; congr (_ + _ * _); apply: hinge_ignores_nonpositive => A Av; rewrite FF //.
  apply: subset_trans Av _; apply/subsetP=> i; rewrite !inE; apply: contraTT; rewrite -!leNgt => x0.
  by rewrite vx.
have zx := hinge_prox_fixes_nonpositive nF nd sub g0 prox.
have ux i : x i <= 0 -> put_back x u i = x i by rewrite /put_back => ->.
have half : 0 <= 2^-1 * sqdist u (put_back x u) by rewrite mulr_ge0 ?sqdist_ge0 // invr_ge0 ler0n.
have := put_back_objective x u nF' nd' sub' g0; have [best unique] := prox (put_back x u).
rewrite (same z zx) (same _ ux) => h; split.
  by apply: le_trans h; apply: le_trans best _; rewrite ler_addl.
move=> uz; have hu := le_trans h uz.
have zu : put_back x u =1 z by apply: unique; apply: le_trans hu; rewrite ler_addl.
have uu : u =1 put_back x u.
  apply: sqdist_eq0; rewrite -(pmulr_rle0 _ (half_gt0 R)).
  by apply: (le_by2 hu best); ring.
by move=> i; rewrite uu zu.
Qed.

End Hinge.

Section Saturated.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (m w x z : T -> R) (r : T -> nat) (A B D K : {set T}).

(** A nondecreasing function that has its largest value on K has it on every larger set. *)
Lemma saturated_superset F K A : nondecreasing F -> F K = F setT -> K \subset A -> F A = F setT.
Proof. by move=> nd FK KA; apply/le_anti; rewrite nd ?subsetT // -FK nd. Qed.

Lemma increment_saturated F K r i : nondecreasing F -> F K = F setT -> K \subset before r i ->
  greedy F r i = 0.
Proof.
move=> nd FK Kr; rewrite /greedy !(saturated_superset nd FK) ?subrr //.
by apply: subset_trans Kr _; apply: subsetUr.
Qed.

(** Entries below a threshold that all of K reaches count as if they were at the threshold. *)
Lemma lovasz_clip F K m (t : R) : normalised F -> nondecreasing F -> F K = F setT ->
  (forall k, k \in K -> t <= m k) -> lovasz F m = lovasz F (fun i => Num.max (m i) t).
Proof.
move=> nF nd FK Kt; have dec := rank_decreasing (x := m).
rewrite [RHS](lovasz_order (r := rank m) nF); first last.
- by move=> i j /dec mij /=; rewrite le_maxl !le_maxr mij lexx !orbT.
- exact: rank_inj.
apply: eq_bigr => i _ /=; have [mt | tm] := ltP (m i) t; last by [].
rewrite (increment_saturated nd FK) ?mul0r //; apply/subsetP=> k kK; rewrite inE.
have ki : m i < m k := lt_le_trans mt (Kt k kK).
rewrite ltnNge leq_eqVlt; apply/negP => /orP[/eqP/(rank_inj (x := m)) e | /dec].
  by rewrite e ltxx in ki.
by rewrite leNgt ki.
Qed.

(** Entries outside K that stay at or below all entries of K do not matter. *)
Lemma lovasz_drop F K D m m' k0 : normalised F -> nondecreasing F -> F K = F setT ->
  k0 \in K -> [disjoint D & K] -> (forall i, i \notin D -> m' i = m i) ->
  (forall j k, j \in D -> k \in K -> m j <= m k /\ m' j <= m k) -> lovasz F m' = lovasz F m.
Proof.
move=> nF nd FK k0K DK mm low.
have Km k : k \in K -> m' k = m k by move=> kK; rewrite mm // (disjointFl DK).
case: (arg_minP m k0K) => k1 k1K least.
rewrite (lovasz_clip (t := m k1) nF nd FK) => [|k kK]; last by rewrite Km ?least.
rewrite (lovasz_clip (m := m) (t := m k1) nF nd FK) //; apply: eq_lovasz => i.
have [iD | /mm -> //] := boolP (i \in D); have [mi mi'] := low _ _ iD k1K.
by rewrite (max_idPr mi) (max_idPr mi').
Qed.

Lemma eq_in_base F w w' : w =1 w' -> in_base F w -> in_base F w'.
Proof.
move=> ww; have e A : mass w' A = mass w A by apply: eq_bigr => i _; rewrite ww.
by case=> bound total; split=> [A|]; rewrite e.
Qed.

(** The prox moves an entry of K by at most gamma c, where c bounds F on single pixels of K; an entry so far
below K that it stays behind K is fixed. *)
Section Prox.

Variables (F : {set T} -> R) (K : {set T}) (c gamma : R) (x z : T -> R).
Hypotheses (nF : normalised F) (nd : nondecreasing F) (sub : submodular F) (FK : F K = F setT).
Hypotheses (Kc : forall k, k \in K -> F [set k] <= c) (g0 : 0 < gamma) (prox : is_prox (lovasz F) gamma x z).

Let w := residual gamma x z.

Lemma residual_in_base : in_base F w /\ dot w z = lovasz F z.
Proof. by apply: prox_certificate => // u; case: (prox u). Qed.

Lemma residual_ge0 i : 0 <= w i.
Proof. by have [wF _] := residual_in_base; apply: (base_nonnegative (F := F)) => //. Qed.

Lemma prox_step i : z i = x i - gamma * w i.
Proof. by rewrite residual_scale //; ring. Qed.

Lemma prox_decrease_bounded k : k \in K -> x k - gamma * c <= z k.
Proof.
move=> kK; rewrite prox_step ler_add2l ler_opp2 ler_pmul2l //; apply: le_trans (Kc kK).
by have [[bound _] _] := residual_in_base; rewrite -(mass_set1 w k).
Qed.

Lemma prox_fixes_saturated j : (forall k, k \in K -> x j <= x k - gamma * c) -> z j = x j.
Proof.
move=> xj; have [[bound total] tight] := residual_in_base.
suff wj : w j <= 0.
  by rewrite prox_step (_ : w j = 0) ?mulr0 ?subr0 //; apply/le_anti; rewrite wj residual_ge0.
rewrite leNgt; apply/negP => wj.
have zj : z j < x j by rewrite prox_step ltr_subl_addr ltr_addl mulr_gt0.
have KS : K \subset [set i | z j < z i].
  apply/subsetP=> k kK; rewrite inE; apply: lt_le_trans zj _.
  exact: le_trans (xj k kK) (prox_decrease_bounded kK).
have [massS _] := tight_levels nF (conj bound total) tight (z j).
have := bound (j |: [set i | z j < z i]); rewrite mass_setU ?disjoints1 ?inE ?ltxx // mass_set1 massS.
rewrite !(saturated_superset nd FK) //; last by apply: subset_trans KS _; apply: subsetUr.
by rewrite leNgt ltr_addr wj.
Qed.

(** Such entries influence no other one: with others in their place the prox has those, and is the same
elsewhere. *)
Lemma prox_ignores_saturated D x' k0 : k0 \in K -> [disjoint D & K] -> (forall i, i \notin D -> x' i = x i) ->
  (forall j k, j \in D -> k \in K -> x j <= x k - gamma * c /\ x' j <= x k - gamma * c) ->
  is_prox (lovasz F) gamma x' (fun i => if i \in D then x' i else z i).
Proof.
move=> k0K DK xx low; set z' := fun i => _.
have fixed j : j \in D -> z j = x j by move=> jD; apply: prox_fixes_saturated => k /(low _ _ jD)[].
have ww : w =1 residual gamma x' z'.
  move=> i; rewrite /w /residual /z'; case: ifPn => [iD | /xx -> //].
  by rewrite fixed // !subrr.
have [wF tight] := residual_in_base; apply: prox_of_certificate => //; first exact: eq_in_base ww wF.
have -> : lovasz F z' = lovasz F z.
  apply: (lovasz_drop nF nd FK k0K DK) => [i iD | j k jD kK]; first by rewrite /z' (negPf iD).
  have [xj xj'] := low _ _ jD kK; rewrite fixed // /z' jD.
  by split; apply: le_trans (prox_decrease_bounded kK).
rewrite -tight; apply: eq_bigr => i _; rewrite -ww /z'; case: ifPn => // iD.
by rewrite /w /residual fixed // subrr !mul0r.
Qed.

End Prox.

End Saturated.

Section Jaccard.

Variables (R : realFieldType) (T : finType).
Implicit Types (m x z : T -> R) (r : T -> nat) (fg D : {set T}).

(** Once all the foreground is wrong the loss is 1. *)
Lemma jaccard_foreground fg : fg != set0 -> jaccard R fg fg = jaccard R fg setT.
Proof.
move=> fg0; rewrite jaccard_setT /jaccard setUid divff ?pnatr_eq0 ?cards_eq0 //.
by have /card_gt0P -> // : exists i : T, i \in predT; have /set0Pn[i _] := fg0; exists i.
Qed.

Lemma jaccard_set1 fg i : i \in fg -> jaccard R fg [set i] = #|fg|%:R^-1.
Proof. by move=> ifg; rewrite /jaccard cards1 (setUidPl _) ?sub1set // mul1r. Qed.

Lemma jaccard_empty_set1 i : @jaccard R T set0 [set i] = 1.
Proof. by rewrite /jaccard set0U cards1 divr1. Qed.

(** A background pixel ranked behind all the foreground has weight 0. *)
Theorem increment_behind_foreground fg r i : fg != set0 -> (forall k, k \in fg -> (r k < r i)%N) ->
  greedy (jaccard R fg) r i = 0.
Proof.
move=> fg0 behind; apply: (increment_saturated (K := fg)); first exact: jaccard_nondecreasing.
  exact: jaccard_foreground.
by apply/subsetP=> k kfg; rewrite inE behind.
Qed.

(** Background errors that are at most the smallest foreground error may be anything up to that: they can be
dropped before sorting. *)
Theorem drop_background fg D m m' : fg != set0 -> [disjoint D & fg] -> (forall i, i \notin D -> m' i = m i) ->
  (forall j i, j \in D -> i \in fg -> m j <= m i /\ m' j <= m i) ->
  lovasz (jaccard R fg) m' = lovasz (jaccard R fg) m.
Proof.
move=> fg0; have /set0Pn[i ifg] := fg0; apply: (lovasz_drop _ _ _ ifg).
- exact: jaccard_normalised.
- exact: jaccard_nondecreasing.
exact: jaccard_foreground.
Qed.

(** The same for the hinge (where it is of use if all foreground errors are positive: otherwise the smallest
error that counts is 0). *)
Corollary hinge_drop_background fg D m m' : fg != set0 -> [disjoint D & fg] ->
  (forall i, i \notin D -> m' i = m i) ->
  (forall j i, j \in D -> i \in fg -> m j <= m i /\ m' j <= m i) ->
  hinge (jaccard R fg) m' = hinge (jaccard R fg) m.
Proof.
move=> fg0 Dfg mm low; apply: (drop_background fg0 Dfg) => [i iD | j i jD ifg]; first by rewrite /pos mm.
by have [mj mj'] := low _ _ jD ifg; split; apply: pos_le.
Qed.

(** A background pixel at least gamma / P below all the foreground is fixed by the prox. *)
Theorem prox_fixes_background fg gamma x z D : fg != set0 -> 0 < gamma ->
  is_prox (lovasz (jaccard R fg)) gamma x z ->
  (forall j i, j \in D -> i \in fg -> x j <= x i - gamma / #|fg|%:R) -> forall j, j \in D -> z j = x j.
Proof.
move=> fg0 g0 prox low j jD.
apply: (prox_fixes_saturated (K := fg) (c := #|fg|%:R^-1) _ _ _ _ _ g0 prox) => [||||i ifg|i ifg].
- exact: jaccard_normalised.
- exact: jaccard_nondecreasing.
- exact: jaccard_submodular.
- exact: jaccard_foreground.
- by rewrite jaccard_set1.
exact: low.
Qed.

(** Such pixels influence nobody. *)
Theorem prox_ignores_background fg gamma x x' z D : fg != set0 -> 0 < gamma -> [disjoint D & fg] ->
  is_prox (lovasz (jaccard R fg)) gamma x z ->
  (forall i, i \notin D -> x' i = x i) ->
  (forall j i, j \in D -> i \in fg -> x j <= x i - gamma / #|fg|%:R /\ x' j <= x i - gamma / #|fg|%:R) ->
  is_prox (lovasz (jaccard R fg)) gamma x' (fun i => if i \in D then x' i else z i).
Proof.
move=> fg0 g0 Dfg prox xx low; have /set0Pn[k kfg] := fg0.
apply: (prox_ignores_saturated (K := fg) (c := #|fg|%:R^-1) _ _ _ _ _ g0 prox kfg) => // [||||i ifg].
- exact: jaccard_normalised.
- exact: jaccard_nondecreasing.
- exact: jaccard_submodular.
- exact: jaccard_foreground.
by rewrite jaccard_set1.
Qed.

(** Without foreground the loss of every non-empty set is 1, so that one pixel k plays the part of the
foreground: entries at least gamma below x k are fixed, and influence nobody. *)
Lemma jaccard_empty_saturated k : @jaccard R T set0 [set k] = @jaccard R T set0 setT.
Proof.
rewrite jaccard_setT jaccard_empty_set1.
by have /card_gt0P -> // : exists i : T, i \in predT; exists k.
Qed.

Theorem prox_fixes_background_empty gamma x z j k : 0 < gamma ->
  is_prox (lovasz (@jaccard R T set0)) gamma x z -> x j <= x k - gamma -> z j = x j.
Proof.
move=> g0 prox low.
apply: (prox_fixes_saturated (K := [set k]) (c := 1) _ _ _ _ _ g0 prox) => [||||i|i].
- exact: jaccard_normalised.
- exact: jaccard_nondecreasing.
- exact: jaccard_submodular.
- exact: jaccard_empty_saturated.
- by rewrite jaccard_empty_set1.
by move/set1P=> ->; rewrite mulr1.
Qed.

Theorem prox_ignores_background_empty gamma x x' z D k : 0 < gamma -> k \notin D ->
  is_prox (lovasz (@jaccard R T set0)) gamma x z -> (forall i, i \notin D -> x' i = x i) ->
  (forall j, j \in D -> x j <= x k - gamma /\ x' j <= x k - gamma) ->
  is_prox (lovasz (@jaccard R T set0)) gamma x' (fun i => if i \in D then x' i else z i).
Proof.
move=> g0 kD prox xx low.
apply: (prox_ignores_saturated (K := [set k]) (c := 1) _ _ _ _ _ g0 prox (set11 k)) => // [||||i||j i jD].
- exact: jaccard_normalised.
- exact: jaccard_nondecreasing.
- exact: jaccard_submodular.
- exact: jaccard_empty_saturated.
- by rewrite jaccard_empty_set1.
- by rewrite disjoint_sym disjoints1.
by move/set1P=> ->; rewrite mulr1; apply: low.
Qed.

End Jaccard.
