(** Item 3: when z is the proximal point, and how far from it a point with a small gap can be.

If the residual w = (x − z)/γ lies in the base polytope and ⟨w, z⟩ = f(z), then z is the proximal point; of a
submodular function, these two conditions hold at every minimiser. For any base w and any point z the duality gap
is ½‖z − x + γw‖² + γ(f(z) − ⟨w, z⟩), and ½‖z − z*‖² is at most that. Nothing here needs limits: a minimiser is
compared with points at a small distance of it. *)

From mathcomp Require Import all_ssreflect all_algebra ring.
From lovasz Require Import definitions extension.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Prox.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (f : (T -> R) -> R) (u w x z : T -> R) (A B : {set T}) (gamma : R).

(** The dual point that belongs to z. *)
Definition residual gamma x z : T -> R := fun i => (x i - z i) / gamma.

(** The dual objective: the least of ½‖z − x‖² + γ⟨w, z⟩ over z. *)
Definition dual gamma x w : R := gamma * dot w x - 2^-1 * gamma ^+ 2 * dot w w.

Lemma sqdist_ge0 x z : 0 <= sqdist x z.
Proof. by apply: sumr_ge0 => i _; apply: sqr_ge0. Qed.

Lemma sqdist_eq0 x z : sqdist x z <= 0 -> x =1 z.
Proof.
move=> le0; have /eqP : sqdist x z = 0 by apply/eqP; rewrite eq_le le0 sqdist_ge0.
rewrite psumr_eq0 => [/allP zero i|i _]; last exact: sqr_ge0.
by apply/eqP; rewrite -subr_eq0 -sqrf_eq0; apply: (implyP (zero i (mem_index_enum i))).
Qed.

Lemma half_gt0 : 0 < 2^-1 :> R.
Proof. by rewrite invr_gt0 ltr0n. Qed.

Lemma residual_scale gamma x z : 0 < gamma -> forall i, gamma * residual gamma x z i = x i - z i.
Proof. by move=> g0 i; rewrite /residual mulrC divfK // gt_eqF. Qed.

(** Strong convexity: the objective grows with the squared distance from the proximal point. *)
Lemma is_prox_strong f gamma x z :
  (forall u, objective f gamma x z + 2^-1 * sqdist u z <= objective f gamma x u) -> is_prox f gamma x z.
Proof.
move=> strong u; have le := strong u; split.
  by apply: le_trans le; rewrite ler_addl mulr_ge0 ?sqdist_ge0 // ltW ?half_gt0.
move=> /(le_trans le); rewrite ger_addl pmulr_rle0 ?half_gt0 //; exact: sqdist_eq0.
Qed.

(** A subgradient of any function f at z that equals the residual makes z the proximal point. *)
Lemma prox_of_subgradient f gamma x z : 0 < gamma ->
  (forall u, f z + dot (residual gamma x z) (fun i => u i - z i) <= f u) ->
  (forall u, objective f gamma x z + 2^-1 * sqdist u z <= objective f gamma x u) /\ is_prox f gamma x z.
Proof.
move=> g0 sub; suff strong u : objective f gamma x z + 2^-1 * sqdist u z <= objective f gamma x u.
  by split=> //; apply: is_prox_strong.
have e : sqdist u x = sqdist z x + sqdist u z - 2 * (gamma * dot (residual gamma x z) (fun i => u i - z i)).
  rewrite /sqdist /dot !mulr_sumr -big_split -sumrB; apply: eq_bigr => i _ /=.
  by rewrite [gamma * _]mulrA residual_scale //; ring.
have := ler_wpmul2l (ltW g0) (sub u); rewrite mulrDr => le.
apply: (le_by1 le); rewrite /objective e.
by field.
Qed.

Lemma certificate_strong F gamma x z : 0 < gamma -> normalised F ->
  in_base F (residual gamma x z) -> dot (residual gamma x z) z = lovasz F z ->
  forall u, objective (lovasz F) gamma x z + 2^-1 * sqdist u z <= objective (lovasz F) gamma x u.
Proof.
move=> g0 F0 wF wz; apply: proj1 (prox_of_subgradient g0 _) => u.
have -> : dot (residual gamma x z) (fun i => u i - z i) =
    dot (residual gamma x z) u - dot (residual gamma x z) z.
  by rewrite /dot -sumrB; apply: eq_bigr => i _; rewrite mulrBr.
by rewrite wz addrC subrK; apply: lovasz_support.
Qed.

(** The certificate: a residual in the base polytope that attains f(z) proves z the unique minimiser. *)
Theorem prox_of_certificate F gamma x z : 0 < gamma -> normalised F ->
  in_base F (residual gamma x z) -> dot (residual gamma x z) z = lovasz F z -> is_prox (lovasz F) gamma x z.
Proof. by move=> g0 F0 wF wz; apply: is_prox_strong; apply: certificate_strong. Qed.

(** ** Every minimiser has a certificate *)

(** A polynomial without constant term that is not negative near 0 has no negative slope there. *)
Lemma slope_nonnegative (a b : R) : (forall e, 0 < e -> e <= 1 -> 0 <= e * a + e ^+ 2 * b) -> 0 <= a.
Proof.
move=> pos_near; rewrite leNgt; apply/negP => a0.
have b1 : 0 < `|b| + 1 by rewrite ltr_paddl ?normr_ge0.
pose e := Num.min 1 (- a / (2 * (`|b| + 1))).
have e0 : 0 < e by rewrite lt_minr ltr01 divr_gt0 ?oppr_gt0 ?mulr_gt0 ?ltr0n.
have e1 : e <= 1 by rewrite le_minl lexx.
have := pos_near e e0 e1; rewrite expr2 -mulrA -mulrDr pmulr_rge0 //; apply/negP; rewrite -ltNge.
have eb : e * b <= e * (`|b| + 1).
  by rewrite ler_pmul2l //; apply: le_trans (ler_norm b) _; rewrite ler_addl.
have ea : e * (`|b| + 1) <= - a / 2.
  rewrite -ler_pdivl_mulr //; suff -> : - a / 2 / (`|b| + 1) = - a / (2 * (`|b| + 1)) by rewrite le_minl lexx orbT.
  by rewrite invfM mulrA.
rewrite addrC; apply: (@le_lt_trans _ _ (- a / 2 + a)); first by rewrite ler_add2r (le_trans eb).
have -> : - a / 2 + a = a / 2 by field.
by rewrite pmulr_llt0 ?half_gt0.
Qed.

Section Minimiser.

Variables (F : {set T} -> R) (gamma : R) (x z : T -> R).
Hypotheses (g0 : 0 < gamma) (F0 : normalised F).
Hypothesis minimal : forall u, objective (lovasz F) gamma x z <= objective (lovasz F) gamma x u.

Let w := residual gamma x z.

(** Along a direction v, if f grows at most by e·c, the slope γ(c − ⟨w, v⟩) of the objective is not negative. *)
Lemma direction (v : T -> R) (c : R) :
  (forall e, 0 < e -> e <= 1 -> lovasz F (fun i => z i + e * v i) <= lovasz F z + e * c) -> dot w v <= c.
Proof.
move=> growth; rewrite -(ler_pmul2l g0) -subr_ge0.
apply: (@slope_nonnegative _ (2^-1 * dot v v)) => e e0 e1.
have := minimal (fun i => z i + e * v i); rewrite /objective.
have -> : sqdist (fun i => z i + e * v i) x = sqdist z x - 2 * e * (gamma * dot w v) + e ^+ 2 * dot v v.
  rewrite /sqdist /dot !mulr_sumr -sumrB -big_split; apply: eq_bigr => i _ /=.
  by rewrite [gamma * _]mulrA residual_scale //; ring.
move=> le; have := ler_wpmul2l (ltW g0) (growth e e0 e1); rewrite -subr_ge0.
by move: le; rewrite -subr_ge0 => le gr; apply: le_trans (addr_ge0 le gr) _; rewrite le_eqVlt; apply/orP; left; apply/eqP; field.
Qed.

Lemma minimiser_certificate : submodular F -> in_base F w /\ dot w z = lovasz F z.
Proof.
move=> Fsub.
have below A : mass w A <= F A.
  rewrite massE; apply: direction => e e0 _; apply: le_trans (lovasz_subadditive _ _ F0 Fsub) _.
  by rewrite lovasz_scale ?lovasz_indicator // ltW.
have wT : mass w setT = F setT.
  apply/eqP; rewrite eq_le below /= -ler_opp2.
  have -> : - mass w setT = dot w (fun=> -1) by rewrite dot_const mulN1r.
  apply: direction => e _ _; rewrite (eq_lovasz F (z := fun i => z i + (- e))) => [|i]; last by rewrite mulrN1.
  by rewrite lovasz_shift // mulNr mulrN.
split; first by split.
apply/eqP; rewrite eq_le lovasz_support //= -ler_opp2.
have -> : - dot w z = dot w (fun i => - z i).
  by rewrite /dot -sumrN; apply: eq_bigr => i _; rewrite mulrN.
apply: direction => e _ e1; rewrite (eq_lovasz F (z := fun i => (1 - e) * z i)) => [|i]; last by ring.
by rewrite lovasz_scale ?subr_ge0 // mulrBl mul1r mulrN.
Qed.

End Minimiser.

Theorem prox_certificate F gamma x z : 0 < gamma -> normalised F -> submodular F ->
  (forall u, objective (lovasz F) gamma x z <= objective (lovasz F) gamma x u) ->
  in_base F (residual gamma x z) /\ dot (residual gamma x z) z = lovasz F z.
Proof. by move=> g0 F0 Fsub minimal; apply: minimiser_certificate. Qed.

(** ** The duality gap *)

Theorem gap_identity f gamma x z w :
  objective f gamma x z - dual gamma x w =
  2^-1 * (\sum_i (z i - x i + gamma * w i) ^+ 2) + gamma * (f z - dot w z).
Proof.
have -> : (\sum_i (z i - x i + gamma * w i) ^+ 2) =
    sqdist z x + 2 * gamma * (dot w z - dot w x) + gamma ^+ 2 * dot w w.
  rewrite /sqdist /dot -sumrB !mulr_sumr -!big_split; apply: eq_bigr => i _ /=; ring.
by rewrite /objective /dual; field.
Qed.

Lemma weak_duality F gamma x z w : 0 < gamma -> normalised F -> in_base F w ->
  dual gamma x w <= objective (lovasz F) gamma x z.
Proof.
move=> g0 F0 wF; rewrite -subr_ge0 gap_identity; apply: addr_ge0; apply: mulr_ge0; try exact: ltW.
- exact: ltW half_gt0.
- by apply: sumr_ge0 => i _; apply: sqr_ge0.
- by rewrite subr_ge0 lovasz_support.
Qed.

(** The gap of any point and any base bounds the distance from the proximal point. *)
Theorem gap_bounds_distance F gamma x z z' w : 0 < gamma -> normalised F -> submodular F -> in_base F w ->
  is_prox (lovasz F) gamma x z' -> 2^-1 * sqdist z z' <= objective (lovasz F) gamma x z - dual gamma x w.
Proof.
move=> g0 F0 Fsub wF prox.
have [wF' wz'] := prox_certificate g0 F0 Fsub (fun u => proj1 (prox u)).
rewrite ler_subr_addr addrC; apply: le_trans (certificate_strong g0 F0 wF' wz' z).
by rewrite ler_add2r; apply: weak_duality.
Qed.

(** ** Uniqueness *)

Lemma prox_unique f gamma x z z' : is_prox f gamma x z -> is_prox f gamma x z' -> z =1 z'.
Proof. by move=> p p' i; rewrite (proj2 (p z') (proj1 (p' z))). Qed.

Lemma eq_objective F gamma x x' z z' : x =1 x' -> z =1 z' ->
  objective (lovasz F) gamma x z = objective (lovasz F) gamma x' z'.
Proof.
move=> xx zz; rewrite /objective (eq_lovasz F zz); congr (_ * _ + _).
by apply: eq_bigr => i _; rewrite xx zz.
Qed.

Lemma eq_is_prox F gamma x x' z z' : x =1 x' -> z =1 z' ->
  is_prox (lovasz F) gamma x z -> is_prox (lovasz F) gamma x' z'.
Proof.
move=> xx zz p u; rewrite -!(eq_objective F gamma xx (fun=> erefl)) -(eq_objective F gamma (fun=> erefl) zz).
by split=> [|/(proj2 (p u)) uz i]; [apply: proj1 (p u) | rewrite uz zz].
Qed.

End Prox.
