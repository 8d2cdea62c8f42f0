(** Item 5: the hinge m -> f(max(m, 0)) of a non-decreasing submodular function.  It is the support function
of the polymatroid {s >= 0, s(A) <= F(A) for all A}, and its prox is max(z, min(x, 0)), where z is the prox of
the Lovász extension itself: the residual of this point lies between 0 and the dual point of z, hence in the
polymatroid, and is a subgradient.  On logits f with signs sg the margins 1 - sg * f are an isometry, which
carries the prox over. *)
From mathcomp Require Import all_ssreflect all_algebra ring.
From lovasz Require Import definitions extension prox.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Hinge.
Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (s w x y z u m : T -> R).

Lemma pos_ge0 x i : 0 <= pos x i.
Proof. by rewrite /pos le_maxr lexx orbT. Qed.

Lemma pos_ge x i : x i <= pos x i.
Proof. by rewrite /pos le_maxr lexx. Qed.

Lemma eq_hinge F x y : x =1 y -> hinge F x = hinge F y.
Proof. by move=> e; apply: eq_lovasz => i; rewrite /pos e. Qed.

(** No point of the polymatroid exceeds the hinge. *)
Lemma polymatroid_le_hinge F s m : normalised F -> in_polymatroid F s -> dot s m <= hinge F m.
Proof.
move=> F0 [s0 sF]; apply: le_trans (polymatroid_support F0 sF (pos_ge0 m)).
by apply: ler_sum => i _; apply: ler_wpmul2l (pos_ge m i).
Qed.

(** A vector between 0 and a point of the base polytope is in the polymatroid. *)
Lemma polymatroid_below_base F s w :
  in_base F w -> (forall i, 0 <= s i <= w i) -> in_polymatroid F s.
Proof.
move=> [wF _] sw; split=> [i|A]; first by case/andP: (sw i).
by apply: le_trans (wF A); apply: ler_sum => i _; case/andP: (sw i).
Qed.

(** For a non-decreasing submodular function, the hinge is the support function of the polymatroid.  It is
attained by the greedy vector of the positive parts, cut to 0 where the margin is not positive. *)
Theorem hinge_support F m : normalised F -> nondecreasing F -> submodular F ->
  (forall s, in_polymatroid F s -> dot s m <= hinge F m) /\
  let s i := if 0 < m i then greedy F (rank (pos m)) i else 0 in
  in_polymatroid F s /\ dot s m = hinge F m.
Proof.
move=> F0 Fmon Fsub; split=> [s|s]; first exact: polymatroid_le_hinge.
have g0 := greedy_nonnegative (rank (pos m)) Fmon.
split.
  apply: polymatroid_below_base (greedy_in_base F0 Fsub (@rank_inj _ _ (pos m))) _ => i.
  by rewrite /s; case: ifP; rewrite lexx g0.
by apply: eq_bigr => i _; rewrite /s /pos; case: ltP; rewrite ?mul0r ?mulr0.
Qed.

(** ** The prox *)

(** Where the dual point of z attains the support function at z, it does so at the positive part of z too. *)
Lemma attained_pos F w z : normalised F -> in_base F w -> dot w z = lovasz F z ->
  dot w (pos z) = lovasz F (pos z).
Proof.
move=> F0 wF wz; set neg := fun i => Num.min (z i) 0.
have split_z i : pos z i + neg i = z i by rewrite /pos /neg addrC addr_min_max addr0.
have dec_pos : decreasing_along (rank z) (pos z).
  by move=> i j /rank_decreasing zji; rewrite /pos le_maxl !le_maxr zji lexx orbT.
have dec_neg : decreasing_along (rank z) neg.
  by move=> i j /rank_decreasing zji; rewrite /neg le_minr !le_minl zji lexx orbT.
have sum_lovasz : lovasz F z = lovasz F (pos z) + lovasz F neg.
  rewrite -(lovasz_comonotone F0 (@rank_inj _ _ z) dec_pos dec_neg).
  by apply: eq_lovasz => i; rewrite split_z.
have sum_dot : dot w z = dot w (pos z) + dot w neg.
  by rewrite /dot -big_split /=; apply: eq_bigr => i _; rewrite -mulrDr split_z.
apply/eqP; rewrite eq_le lovasz_support //=.
apply: (@le_by1 _ _ _ _ _ (lovasz_support neg F0 wF)).
have e : dot w (pos z) + dot w neg = lovasz F (pos z) + lovasz F neg by rewrite -sum_dot -sum_lovasz.
by rewrite -[dot w (pos z)](addrK (dot w neg)) e; ring.
Qed.

Section Prox.
Variables (F : {set T} -> R) (gamma : R) (x z : T -> R).
Hypothesis gamma_gt0 : 0 < gamma.

Let y i := Num.max (z i) (Num.min (x i) 0).
Let w := residual gamma x z.
Let s := residual gamma x y.

Hypothesis z_le_x : forall i, z i <= x i.

(** What the candidate y is, pixel by pixel. *)
Variant hinge_spec i : R -> Prop :=
| HingeIdle of x i <= 0 : hinge_spec i (x i)
| HingeKept of 0 <= z i : hinge_spec i (z i)
| HingePinned of 0 < x i & z i < 0 : hinge_spec i 0.

Lemma hingeP i : hinge_spec i (y i).
Proof.
rewrite /y; case: (leP (x i) 0) => xi.
  by rewrite (max_idPr (z_le_x i)); constructor.
by case: (ltP (z i) 0) => zi; constructor.
Qed.

(** The residual of y lies between 0 and the dual point of z; it vanishes where y is negative. *)
Lemma hinge_residual i : 0 <= s i <= w i.
Proof.
rewrite /s /w /residual ler_pmul2r ?invr_gt0 // pmulr_lge0 ?invr_gt0 // subr_ge0 ler_add2l ler_opp2.
by case: hingeP => [xi|zi|/ltW-> /ltW->]; rewrite ?lexx ?z_le_x.
Qed.

(** Against the positive part of z the two agree, and y has this positive part. *)
Lemma hinge_residual_pos : dot s (pos z) = dot w (pos z).
Proof.
apply: eq_bigr => i _; rewrite /pos /s /w /residual.
case: hingeP => [xi|//|xi zi]; last by rewrite (max_idPr (ltW zi)) !mulr0.
by rewrite (max_idPr (le_trans (z_le_x i) xi)) !mulr0.
Qed.

Lemma hinge_pos : pos y =1 pos z.
Proof.
move=> i; rewrite /pos; case: hingeP => [xi|//|xi zi]; last by rewrite maxxx (max_idPr (ltW zi)).
by rewrite !(max_idPr _) // (le_trans (z_le_x i)).
Qed.

Lemma hinge_residual_support : dot s y = dot s (pos z).
Proof.
apply: eq_bigr => i _; rewrite -hinge_pos /pos /s /residual.
case: hingeP => [xi|zi|xi zi]; first by rewrite subrr !mul0r.
  by rewrite (max_idPl zi).
by rewrite maxxx.
Qed.

End Prox.

(** The prox of the hinge: take the prox z of the Lovász extension, and keep the entries of x that are not
positive. *)
Theorem hinge_prox F gamma x z : 0 < gamma -> normalised F -> nondecreasing F -> submodular F ->
  is_prox (lovasz F) gamma x z ->
  is_prox (hinge F) gamma x (fun i => Num.max (z i) (Num.min (x i) 0)).
Proof.
move=> gamma_gt0 F0 Fmon Fsub z_prox.
have [wF wz] := prox_certificate gamma_gt0 F0 Fsub (fun u => (z_prox u).1).
have z_le_x i : z i <= x i.
  have: 0 <= residual gamma x z i by apply: base_nonnegative wF _.
  by rewrite /residual pmulr_lge0 ?invr_gt0 // subr_ge0.
set y := fun i => _; set s := residual gamma x y.
have sF : in_polymatroid F s := polymatroid_below_base wF (hinge_residual gamma_gt0 z_le_x).
have y_attains : hinge F y = dot s y.
  rewrite (hinge_residual_support gamma z_le_x) (hinge_residual_pos gamma z_le_x).
  by rewrite (attained_pos F0 wF wz); apply: eq_lovasz; apply: hinge_pos.
apply: (prox_of_subgradient gamma_gt0 _).2 => u.
have -> : hinge F y + dot (residual gamma x y) (fun i => u i - y i) = dot s u.
  by rewrite y_attains /dot -big_split; apply: eq_bigr => i _ /=; rewrite -/s; ring.
exact: polymatroid_le_hinge.
Qed.

(** ** Logits *)

Definition margins sg f : T -> R := fun i => 1 - sg i * f i.

(** On logits f with the signs sg the margins are 1 - sg * f; the map is an isometry, so that the prox of the
loss of the logits is sg * (1 - y), where y is the prox of the hinge at the margins. *)
Theorem logits_prox F gamma (sg f y : T -> R) : (forall i, sg i = 1 \/ sg i = -1) ->
  is_prox (hinge F) gamma (margins sg f) y ->
  is_prox (fun f => hinge F (margins sg f)) gamma f (fun i => sg i * (1 - y i)).
Proof.
move=> sg1 y_prox u.
have sg2 i : sg i * sg i = 1 by case: (sg1 i) => ->; ring.
have objE v : objective (fun f => hinge F (margins sg f)) gamma f v =
              objective (hinge F) gamma (margins sg f) (margins sg v).
  rewrite /objective; congr (_ * _ + _); apply: eq_bigr => i _.
  transitivity (sg i * sg i * (v i - f i) ^+ 2); first by rewrite sg2 mul1r.
  by rewrite /margins; ring.
have yE : margins sg (fun i => sg i * (1 - y i)) =1 y.
  by move=> i; rewrite /margins mulrA sg2; ring.
have objy : objective (hinge F) gamma (margins sg f) (margins sg (fun i => sg i * (1 - y i))) =
            objective (hinge F) gamma (margins sg f) y.
  rewrite /objective (eq_hinge F yE); congr (_ * _ + _).
  by apply: eq_bigr => i _; rewrite yE.
have [le_obj uniq] := y_prox (margins sg u).
rewrite !objE objy; split=> // /uniq uy i.
by rewrite -uy /margins opprB addrC subrK mulrA sg2 mul1r.
Qed.

(** Both together: from the prox z of the Lovász extension at the margins m to the prox on the logits. *)
Corollary logits_prox_of_lovasz F gamma (sg f z : T -> R) : 0 < gamma -> normalised F -> nondecreasing F ->
  submodular F -> (forall i, sg i = 1 \/ sg i = -1) -> let m := margins sg f in
  is_prox (lovasz F) gamma m z ->
  is_prox (fun f => hinge F (margins sg f)) gamma f (fun i => sg i * (1 - Num.max (z i) (Num.min (m i) 0))).
Proof. by move=> *; apply: logits_prox => //; apply: hinge_prox. Qed.

End Hinge.
