import numpy as np
sg=lambda x: np.where(x>=0,1/(1+np.exp(-np.abs(x))),np.exp(-np.abs(x))/(1+np.exp(-np.abs(x))))
S1,S2=1.0507,1.0507*1.6732
def sp(x): return np.where(x>20,x,np.log1p(np.exp(np.minimum(x,20))))
def gu(x): return .797885*x+.035677*x**3
F={"linear":lambda x:x,"logistic":sg,"loggy":lambda x:2*sg(x)-1,"relu":lambda x:np.maximum(x,0),"relu6":lambda x:np.clip(x,0,6),
"elu":lambda x:np.where(x>=0,x,np.expm1(np.minimum(x,0))),"selu":lambda x:np.where(x>=0,S1*x,S2*np.expm1(np.minimum(x,0))),
"gelu":lambda x:.5*x*(1+np.tanh(gu(x))),"relie":lambda x:np.where(x>0,x,.01*x),"ramp":lambda x:x*(x>0)+.1*x,"leaky":lambda x:np.where(x>0,x,.1*x),
"revleaky":lambda x:np.where(x>0,x,.1*x),"tanh":np.tanh,"plse":lambda x:np.where(x<-4,.01*(x+4),np.where(x>4,.01*(x-4)+1,.125*x+.5)),
"stair":lambda x:np.where(np.floor(x)%2==0,np.floor(x/2),(x-np.floor(x))+np.floor(x/2)),"hardtan":lambda x:np.clip(x,-1,1),
"lhtan":lambda x:np.where(x<0,.001*x,np.where(x>1,.001*(x-1)+1,x)),"swish":lambda x:x*sg(x),"mish":lambda x:x*np.tanh(sp(x)),
"hard_mish":lambda x:np.where(x>0,x,np.where(x>-2,x*x/2+x,0))}
G={"linear":lambda y:1+0*y,"logistic":lambda y:y*(1-y),"loggy":lambda y:2*(1-(y+1)/2)*(y+1)/2,"relu":lambda y:y>0,"relu6":lambda y:(y>0)&(y<6),
"elu":lambda y:np.where(y>=0,1,y+1),"selu":lambda y:np.where(y>=0,S1,y+S2),"relie":lambda y:np.where(y>0,1,.01),"ramp":lambda y:(y>0)+.1,
"leaky":lambda y:np.where(y>0,1,.1),"revleaky":lambda y:np.where(y>0,1,.1),"tanh":lambda y:1-y*y,"plse":lambda y:np.where((y<0)|(y>1),.01,.125),
"stair":lambda y:np.floor(y)!=y,"hardtan":lambda y:(y>-1)&(y<1),"lhtan":lambda y:np.where((y>0)&(y<1),1,.001)}
X={"swish":lambda x:sg(x)+x*sg(x)*(1-sg(x)),"mish":lambda x:np.tanh(sp(x))+x*(1-np.tanh(sp(x))**2)*sg(x),"hard_mish":lambda x:np.where(x>0,1,np.where(x>-2,x+1,0))}
ACTIVATIONS=tuple(F)+("normalize_channels","normalize_channels_softmax","normalize_channels_softmax_maxval")
def _gg(x):
    u=gu(x); return .5*np.tanh(u)+(.0535161*x**3+.398942*x)/np.cosh(u)**2+.5
def _norm(x,name):
    e=np.maximum(x,0) if name=="normalize_channels" else np.exp(x-(x.max(1,keepdims=True) if "max" in name else 0))
    return e/(1e-4+e.sum(1,keepdims=True))
def activate(x,name,inplace=False):
    if name.startswith("norm"): y=_norm(x,name).astype(x.dtype); return y,y
    y=F[name](x).astype(x.dtype)
    return y,(x if name in X else (x,y) if name=="gelu" else y)
def activate_backward(dy,saved,name,rule="exact"):
    if name.startswith("norm"):
        y=saved; s=(y*dy).sum(1,keepdims=True); return np.where(y>0,dy*s,dy) if name=="normalize_channels" else dy*s
    if name=="gelu":
        x,y=saved; return (dy*(_gg(x) if rule=="exact" else .5*np.tanh(.0356774*y**3+.797885*y)+(.0535161*y**3+.398942*y)/np.cosh(.0356774*y**3+.797885*y)**2+.5)).astype(dy.dtype)
    return (dy*(X[name] if name in X else G[name])(saved)).astype(dy.dtype)
def softmax(x,groups=1,temperature=1.0):
    z=x.reshape(len(x),groups,-1)/x.dtype.type(temperature); e=np.exp(z-z.max(-1,keepdims=True)); return (e/e.sum(-1,keepdims=True)).reshape(x.shape)
def cross_entropy(p,t): return float(-np.log(np.maximum(p[t!=0],np.finfo(p.dtype).tiny)).sum())
LOSSES=("sse","masked","smooth","L1","seg","wgan","mse","mae","logcosh","hinge","hellinger")
def loss(x,t,kind,noobj=1.0):
    d=t-x
    if kind=="L1": return abs(d),-np.sign(d)
    if kind=="smooth": return np.where(abs(d)<1,d*d,2*abs(d)-1),-np.where(abs(d)<1,d,np.sign(d))
    if kind=="masked": d=np.where(t==-1234,0,d)
    return d*d,-d
def objective(x,t,kind,noobj=1.0): return .5*float(((t-x)**2).sum())
def upsample(x,s,k): return np.repeat(np.repeat(x,s,2),s,3)*x.dtype.type(k)
def upsample_backward(dy,s,k):
    n,c,h,w=dy.shape; return dy.reshape(n,c,h//s,s,w//s,s).sum((3,5))*dy.dtype.type(k)
def downsample(x,s,k):
    n,c,h,w=x.shape; return x[:,:,:h//s*s,:w//s*s].reshape(n,c,h//s,s,w//s,s).sum((3,5))*x.dtype.type(k)
def downsample_backward(dy,s,k,shape):
    dx=np.zeros(shape,dy.dtype); u=upsample(dy,s,k); dx[:,:,:u.shape[2],:u.shape[3]]=u; return dx
