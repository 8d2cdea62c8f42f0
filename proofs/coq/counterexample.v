(** Item 4: pooling in the order of x is not exact for the Jaccard loss, since a background pixel can overtake
a foreground pixel.  Two instances with three pixels, over every ordered field.  What pooling gives is the
best of all points that keep the order of x; it is shown here to be x minus gamma times the greedy vector
along x, with the mean on its pool.  The prox, certified by the greedy vector in its own order, exchanges two
pixels of different classes, and its objective is smaller. *)
From mathcomp Require Import all_ssreflect all_algebra ring.
From lovasz Require Import definitions extension prox jaccard.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Order.
Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (x z u : T -> R) (r : T -> nat).

(** What pooling in the order of x computes: the best of all points that keep the order of x. *)
Definition keeps_order x u := forall i j, x j <= x i -> u j <= u i.
Definition pooled F gamma x z := keeps_order x z /\
  forall u, keeps_order x u -> objective (lovasz F) gamma x z <= objective (lovasz F) gamma x u.

(** Among the points decreasing along r the Lovász extension is linear and the objective quadratic. *)
Lemma objective_along F gamma r x z u : normalised F -> injective r ->
  decreasing_along r z -> decreasing_along r u ->
  objective (lovasz F) gamma x u = objective (lovasz F) gamma x z + 2^-1 * sqdist u z +
    dot (fun i => z i - (x i - gamma * greedy F r i)) (fun i => u i - z i).
Proof.
move=> F0 r_inj zr ur; rewrite /objective !(lovasz_order F0 r_inj) // /sqdist /dot !mulr_sumr -!big_split /=.
by apply: eq_bigr => i _; field.
Qed.

Lemma keeps_order_along r x z : injective r -> (forall i j, (r i < r j)%N -> x j < x i) ->
  decreasing_along r z -> keeps_order x z.
Proof.
move=> r_inj xr zr i j xji; case: (ltngtP (r i) (r j)) => [/zr//|/xr|/r_inj-> //].
by rewrite ltNge xji.
Qed.

(** The condition of optimality for the pooled point, along an order r of x. *)
Lemma pooled_along F gamma r x z : normalised F -> injective r -> decreasing_along r x -> keeps_order x z ->
  (forall u, decreasing_along r u ->
    0 <= dot (fun i => z i - (x i - gamma * greedy F r i)) (fun i => u i - z i)) ->
  pooled F gamma x z.
Proof.
move=> F0 r_inj xr zx opt; split=> // u ux.
have along v : keeps_order x v -> decreasing_along r v by move=> vx i j /xr/vx.
rewrite (objective_along gamma x F0 r_inj (along z zx) (along u ux)) -addrA ler_addl.
apply: addr_ge0; last exact: opt (along u ux).
by rewrite mulr_ge0 ?invr_ge0 ?ler0n // sumr_ge0 // => i _; apply: sqr_ge0.
Qed.

(** A point whose residual is the greedy vector in its own order is the prox. *)
Lemma prox_of_order F gamma r x z : 0 < gamma -> normalised F -> submodular F -> injective r ->
  decreasing_along r z -> greedy F r =1 residual gamma x z -> is_prox (lovasz F) gamma x z.
Proof.
move=> gamma_gt0 F0 Fsub r_inj zr res; apply: prox_of_certificate => //.
  have [gF gT] := greedy_in_base F0 Fsub r_inj.
  have massE A : mass (residual gamma x z) A = mass (greedy F r) A by apply: eq_bigr => i _; rewrite res.
  by split=> [A|]; rewrite massE.
by rewrite (lovasz_order F0 r_inj zr); apply: eq_bigr => i _; rewrite res.
Qed.

End Order.

(** ** Three pixels; a vector by its three entries *)

Definition pixel0 : 'I_3 := @Ordinal 3 0 isT.
Definition pixel1 : 'I_3 := @Ordinal 3 1 isT.
Definition pixel2 : 'I_3 := @Ordinal 3 2 isT.
Definition three (V : Type) (a b c : V) : 'I_3 -> V :=
  fun i => match val i with 0%N => a | 1%N => b | _ => c end.

Lemma pixelP (P : 'I_3 -> Prop) : P pixel0 -> P pixel1 -> P pixel2 -> forall i, P i.
Proof.
move=> P0 P1 P2 [[|[|[|//]]] lt_i].
- by have <- : pixel0 = Ordinal lt_i by apply: val_inj.
- by have <- : pixel1 = Ordinal lt_i by apply: val_inj.
- by have <- : pixel2 = Ordinal lt_i by apply: val_inj.
Qed.

(** The two orders of the pixels that occur: 0, 1, 2, and 0, 2, 1. *)
Definition order012 : 'I_3 -> nat := three 0%N 1%N 2%N.
Definition order021 : 'I_3 -> nat := three 0%N 2%N 1%N.

Lemma order012_inj : injective order012.
Proof. by do 2!apply: pixelP. Qed.

Lemma order021_inj : injective order021.
Proof. by do 2!apply: pixelP. Qed.

Section Three.
Variable R : realFieldType.
Implicit Types (w x z u : 'I_3 -> R) (A fg : {set 'I_3}).

Lemma sum3 (g : 'I_3 -> R) : \sum_i g i = g pixel0 + g pixel1 + g pixel2.
Proof.
rewrite !big_ord_recl big_ord0 addr0 addrA.
by congr (g _ + g _ + g _); apply: val_inj.
Qed.

Lemma card3 A : #|A|%:R = (pixel0 \in A)%:R + (pixel1 \in A)%:R + (pixel2 \in A)%:R :> R.
Proof.
rewrite -sum1_card natr_sum big_mkcond sum3 /=.
by congr (_ + _ + _); case: ifP.
Qed.

(** The Jaccard loss of a set by its three memberships. *)
Lemma jaccard3 fg A : jaccard R fg A =
  ((pixel0 \in A)%:R + (pixel1 \in A)%:R + (pixel2 \in A)%:R) /
  (((pixel0 \in fg) || (pixel0 \in A))%:R + ((pixel1 \in fg) || (pixel1 \in A))%:R +
   ((pixel2 \in fg) || (pixel2 \in A))%:R).
Proof. by rewrite /jaccard !card3 !inE. Qed.

Lemma le_fraction (n d : nat) (a b : R) : b - a = n%:R / d%:R -> a <= b.
Proof. by move=> e; rewrite -subr_ge0 e divr_ge0 ?ler0n. Qed.

Lemma lt_fraction (n d : nat) (a b : R) : b - a = n.+1%:R / d.+1%:R -> a < b.
Proof. by move=> e; rewrite -subr_gt0 e divr_gt0 ?ltr0Sn. Qed.

(** ** The pixels 0 and 2 are foreground, gamma = 12 *)

Definition fg1 : {set 'I_3} := [set pixel0; pixel2].
Definition x1 : 'I_3 -> R := three 26 12 13.
Definition prox1 : 'I_3 -> R := three 20 10 9.
Definition pooled1 : 'I_3 -> R := three 20 (19 / 2) (19 / 2).
Local Notation J1 := (jaccard R fg1).

Lemma greedy1_prox : greedy J1 order012 =1 three 2^-1 6^-1 3^-1.
Proof. by apply: pixelP; rewrite /greedy !jaccard3 !inE /order012 /three /=; field. Qed.

Lemma greedy1_x : greedy J1 order021 =1 three 2^-1 0 2^-1.
Proof. by apply: pixelP; rewrite /greedy !jaccard3 !inE /order021 /three /=; field. Qed.

Lemma residual1 : greedy J1 order012 =1 residual 12 x1 prox1.
Proof.
by move=> i; rewrite greedy1_prox; move: i; apply: pixelP; rewrite /residual /x1 /prox1 /three /=; field.
Qed.

Lemma x1_decreasing i j : (order021 i < order021 j)%N -> x1 j < x1 i.
Proof. by move: i j; do 2!apply: pixelP => //; rewrite /x1 /three /= ltr_nat. Qed.

Lemma prox1_decreasing : decreasing_along order012 prox1.
Proof. by do 2!apply: pixelP => //; rewrite /prox1 /three /= ler_nat. Qed.

Lemma pooled1_decreasing : decreasing_along order021 pooled1.
Proof.
by do 2!apply: pixelP => //; rewrite /pooled1 /three /= => _; apply: (@le_fraction 21 2); field.
Qed.

(** The prox is (20, 10, 9), with the objective 204. *)
Theorem prox1_exact : is_prox (lovasz J1) 12 x1 prox1 /\ objective (lovasz J1) 12 x1 prox1 = 204.
Proof.
have J0 := @jaccard_normalised R _ fg1; split.
  apply: prox_of_order order012_inj prox1_decreasing residual1 => //; first by rewrite ltr0n.
  exact: jaccard_submodular.
rewrite /objective (lovasz_order J0 order012_inj prox1_decreasing) /sqdist /dot !sum3 !greedy1_prox.
by rewrite /x1 /prox1 /three /=; field.
Qed.

(** The background pixel 1 has overtaken the foreground pixel 2. *)
Theorem overtaken1 :
  [/\ pixel1 \notin fg1, pixel2 \in fg1, x1 pixel1 < x1 pixel2 & prox1 pixel2 < prox1 pixel1].
Proof. by rewrite !inE /x1 /prox1 /three /= !ltr_nat. Qed.

(** Subtracting 12 times the greedy vector in the order of x, which is 0, 2, 1, leaves (20, 12, 7); this is
not in that order, and pooling the pixels 2 and 1 gives both their mean. *)
Lemma pooled1_mean : let v i := x1 i - 12 * greedy J1 order021 i in
  [/\ v pixel0 = 20, v pixel1 = 12, v pixel2 = 7,
      pooled1 pixel0 = v pixel0 &
      pooled1 pixel1 = (v pixel1 + v pixel2) / 2 /\ pooled1 pixel2 = (v pixel1 + v pixel2) / 2].
Proof. by rewrite /= !greedy1_x /x1 /pooled1 /three /=; do !split; field. Qed.

(** The pooled point (20, 19/2, 19/2) is the best that keeps the order of x; its objective is 817/4. *)
Theorem pooled1_best : pooled J1 12 x1 pooled1 /\ objective (lovasz J1) 12 x1 pooled1 = 817 / 4.
Proof.
have J0 := @jaccard_normalised R _ fg1; split.
  apply: (pooled_along J0 order021_inj) => [i j /x1_decreasing/ltW//||u ur].
    exact: keeps_order_along order021_inj x1_decreasing pooled1_decreasing.
  have u12 : u pixel1 <= u pixel2 by apply: ur.
  rewrite /dot sum3 !greedy1_x /x1 /pooled1 /three /=.
  have := mulr_ge0 (ler0n R 5) (etrans (subr_ge0 _ _) u12) => prod_ge0.
  by rewrite -(pmulr_rge0 _ (ltr0n R 2)); apply: (@le_by1 _ _ _ _ _ prod_ge0); field.
rewrite /objective (lovasz_order J0 order021_inj pooled1_decreasing) /sqdist /dot !sum3 !greedy1_x.
by rewrite /x1 /pooled1 /three /=; field.
Qed.

(** No point that keeps the order of x is the prox; in particular the pooled point is not. *)
Theorem pooling1_inexact z : keeps_order x1 z -> ~ is_prox (lovasz J1) 12 x1 z.
Proof.
move=> zx /(prox_unique prox1_exact.1) e; have [_ _ x12] := overtaken1.
by rewrite !e ltNge zx // ltW.
Qed.

(** ** The pixel 1 is foreground, gamma = 1 *)

Definition fg2 : {set 'I_3} := [set pixel1].
Definition x2 : 'I_3 -> R := three (3 / 2) 1 (99 / 100).
Definition prox2 : 'I_3 -> R := three 1 (2 / 3) (247 / 300).
Definition pooled2 : 'I_3 -> R := three 1 (149 / 200) (149 / 200).
Local Notation J2 := (jaccard R fg2).

Lemma greedy2_prox : greedy J2 order021 =1 three 2^-1 3^-1 6^-1.
Proof. by apply: pixelP; rewrite /greedy !jaccard3 !inE /order021 /three /=; field. Qed.

Lemma greedy2_x : greedy J2 order012 =1 three 2^-1 2^-1 0.
Proof. by apply: pixelP; rewrite /greedy !jaccard3 !inE /order012 /three /=; field. Qed.

Lemma residual2 : greedy J2 order021 =1 residual 1 x2 prox2.
Proof.
by move=> i; rewrite greedy2_prox; move: i; apply: pixelP; rewrite /residual /x2 /prox2 /three /=; field.
Qed.

Lemma x2_decreasing i j : (order012 i < order012 j)%N -> x2 j < x2 i.
Proof.
move: i j; do 2!apply: pixelP => //; rewrite /x2 /three /= => _.
- by apply: (@lt_fraction 0 1); field.
- by apply: (@lt_fraction 50 99); field.
- by apply: (@lt_fraction 0 99); field.
Qed.

Lemma prox2_decreasing : decreasing_along order021 prox2.
Proof.
do 2!apply: pixelP => //; rewrite /prox2 /three /= => _.
- by apply: (@le_fraction 1 3); field.
- by apply: (@le_fraction 53 300); field.
- by apply: (@le_fraction 47 300); field.
Qed.

Lemma pooled2_decreasing : decreasing_along order012 pooled2.
Proof.
by do 2!apply: pixelP => //; rewrite /pooled2 /three /= => _; apply: (@le_fraction 51 200); field.
Qed.

(** The prox is (1, 2/3, 247/300), with the objective 1897/1800. *)
Theorem prox2_exact : is_prox (lovasz J2) 1 x2 prox2 /\ objective (lovasz J2) 1 x2 prox2 = 1897 / 1800.
Proof.
have J0 := @jaccard_normalised R _ fg2; split.
  apply: prox_of_order order021_inj prox2_decreasing residual2 => //; first by rewrite ltr01.
  exact: jaccard_submodular.
rewrite /objective (lovasz_order J0 order021_inj prox2_decreasing) /sqdist /dot !sum3 !greedy2_prox.
by rewrite /x2 /prox2 /three /=; field.
Qed.

(** The background pixel 2 has overtaken the foreground pixel 1. *)
Theorem overtaken2 :
  [/\ pixel1 \in fg2, pixel2 \notin fg2, x2 pixel2 < x2 pixel1 & prox2 pixel1 < prox2 pixel2].
Proof.
rewrite !inE /x2 /prox2 /three /=; split=> //.
- by apply: (@lt_fraction 0 99); field.
- by apply: (@lt_fraction 46 299); field.
Qed.

(** In the order of x, which is 0, 1, 2, the same steps leave (1, 1/2, 99/100) and pool the pixels 1 and 2. *)
Lemma pooled2_mean : let v i := x2 i - 1 * greedy J2 order012 i in
  [/\ v pixel0 = 1, v pixel1 = 1 / 2, v pixel2 = 99 / 100,
      pooled2 pixel0 = v pixel0 &
      pooled2 pixel1 = (v pixel1 + v pixel2) / 2 /\ pooled2 pixel2 = (v pixel1 + v pixel2) / 2].
Proof. by rewrite /= !greedy2_x /x2 /pooled2 /three /=; do !split; field. Qed.

(** It is the best that keeps the order of x; its objective is 1 + (49/200)^2 = 1.060025, against 1.0538... *)
Theorem pooled2_best : pooled J2 1 x2 pooled2 /\ objective (lovasz J2) 1 x2 pooled2 = 1 + (49 / 200) ^+ 2.
Proof.
have J0 := @jaccard_normalised R _ fg2; split.
  apply: (pooled_along J0 order012_inj) => [i j /x2_decreasing/ltW//||u ur].
    exact: keeps_order_along order012_inj x2_decreasing pooled2_decreasing.
  have u21 : u pixel2 <= u pixel1 by apply: ur.
  rewrite /dot sum3 !greedy2_x /x2 /pooled2 /three /=.
  have := mulr_ge0 (ler0n R 49) (etrans (subr_ge0 _ _) u21) => prod_ge0.
  by rewrite -(pmulr_rge0 _ (ltr0n R 200)); apply: (@le_by1 _ _ _ _ _ prod_ge0); field.
rewrite /objective (lovasz_order J0 order012_inj pooled2_decreasing) /sqdist /dot !sum3 !greedy2_x.
by rewrite /x2 /pooled2 /three /=; field.
Qed.

(** Again no point that keeps the order of x is the prox. *)
Theorem pooling2_inexact z : keeps_order x2 z -> ~ is_prox (lovasz J2) 1 x2 z.
Proof.
move=> zx /(prox_unique prox2_exact.1) e; have [_ _ x21] := overtaken2.
by rewrite !e ltNge zx // ltW.
Qed.

End Three.
